# nightshift for Spack: put this file into a repository of your site as packages/nightshift/package.py, point `git` at your
# checkout, then: spack install nightshift +cuda cuda_arch=90 target=zen4
from spack.package import *


class Nightshift(CMakePackage, CudaPackage):
    """Batch framework for the life cycle of computer-vision models on HPC clusters: ingest, inference in bulk, drift, retraining,
    gate and report, as one static night on Slurm."""

    git = "file:///path/to/nightshift"
    version("main", branch="main")

    depends_on("c", type="build")
    depends_on("cmake@3.20:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("hdf5@1.10:")
    depends_on("onednn@2.6:3 threads=openmp cpu_runtime=omp")
    depends_on("jansson")
    depends_on("libyaml")
    depends_on("openssl")
    depends_on("xxhash")
    depends_on("libjpeg-turbo")
    depends_on("libpng")
    depends_on("libwebp+libwebpdemux")
    depends_on("libtiff")
    depends_on("giflib")
    depends_on("expat")
    depends_on("libarchive")
    depends_on("zlib-api")
    with when("+cuda"):
        depends_on("cxx", type="build")
        depends_on("cuda@12:", type=("build", "run"))
        depends_on("cudnn@9:")
        depends_on("nccl", type="run")  # opened at run time
    conflicts("cuda_arch=none", when="+cuda", msg="say which GPU: cuda_arch=80, 90 or 100")

    generator("ninja")

    def cmake_args(self):
        args = [
            self.define("NS_TESTS", False),
            self.define("NS_ARCH", self.spec.target.optimization_flags("gcc", "12").split("-march=")[-1].split()[0]),
            self.define("NS_CUDA", "ON" if self.spec.satisfies("+cuda") else "OFF"),
        ]
        if self.spec.satisfies("+cuda"):
            arch = ["{0}-real".format(a) for a in self.spec.variants["cuda_arch"].value]
            args.append(self.define("NS_CUDA_ARCHITECTURES", arch))
        return args
