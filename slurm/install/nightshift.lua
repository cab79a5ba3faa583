-- nightshift for Lmod (and, as it uses nothing but these calls, for Environment Modules from 5.0): put it at
-- MODULEPATH/nightshift/0.1.0.lua and set the prefix to where `cmake --install` put it.
help([[nightshift: a night of ingest, inference, drift and retraining on Slurm. Begin with: nightshift doctor]])
whatis("Name: nightshift")
whatis("Version: 0.1.0")

local prefix = "/apps/nightshift/0.1.0"

-- what it was built with, for instance:
-- depends_on("openmpi/4.1", "hdf5/1.14", "onednn/3.2", "cuda/13.0", "cudnn/9", "nccl/2")

prepend_path("PATH", pathJoin(prefix, "bin"))
prepend_path("PATH", pathJoin(prefix, "share/nightshift/slurm"))
prepend_path("MANPATH", pathJoin(prefix, "share/man"))
