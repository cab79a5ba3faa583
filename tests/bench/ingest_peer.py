#!/usr/bin/env python3
"""What torchvision and DALI make of a folder of photos. A line on standard input asks for one more turn, a JSON line answers:

    ingest_peer.py resize|loader|tensors|dali FOLDER

resize: Pillow decodes, convert("RGB"), Resize((224, 224)). loader: ImageFolder, RandomResizedCrop(224), flip, normalised f32 batches of a DataLoader
without workers; tensors: the same with torchvision's own decoder in place of Pillow. dali: the same by readers.file, decoders.image_random_crop
and resize, one thread. Importing, finding files and the first images are not counted.
"""
import json
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
sys.dont_write_bytecode = True
SIDE, BATCH, EPOCHS = 224, 64, 2
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def versions():
    import PIL
    import torch
    import torchvision
    from PIL import features

    torch.set_num_threads(1)
    turbo = features.version("libjpeg_turbo")
    return f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__} with libjpeg-turbo {turbo}"


def resize(folder):
    said = versions()
    from PIL import Image
    from torchvision.transforms import v2

    paths = sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files)
    scale = v2.Resize((SIDE, SIDE))

    def turn(n=len(paths)):
        for path in paths[:n]:
            scale(Image.open(path).convert("RGB"))
        return n

    turn(min(32, len(paths)))
    return said, lambda: (None, turn)


def loader(folder, tensors=False):
    said = versions()
    import torch
    import torchvision
    from torchvision.transforms import v2

    crop = [v2.RandomResizedCrop(SIDE), v2.RandomHorizontalFlip()]
    finish = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    kinds = {"transform": v2.Compose(crop + ([] if tensors else [v2.ToImage()]) + finish)}
    if tensors:
        kinds["loader"] = lambda path: torchvision.io.decode_image(path, torchvision.io.ImageReadMode.RGB)
    data = torch.utils.data.DataLoader(torchvision.datasets.ImageFolder(folder, **kinds), BATCH, shuffle=True, drop_last=True, num_workers=0)
    x = next(iter(data))[0]
    if x.shape[1:] != (3, SIDE, SIDE) or x.dtype != torch.float32:
        raise RuntimeError(f"the loader gives {x.dtype} {tuple(x.shape)}")
    return said, lambda: (None, lambda: sum(len(x) for _ in range(EPOCHS) for x, _ in data))


def dali(folder):
    import nvidia.dali
    from nvidia.dali import fn, pipeline_def, types

    def pipe(layout, dynamic):
        @pipeline_def(batch_size=BATCH, num_threads=1, device_id=None, seed=1, **({"exec_dynamic": True} if dynamic else {}))
        def recipe():
            files, labels = fn.readers.file(file_root=folder, random_shuffle=True, name="files")
            x = fn.decoders.image_random_crop(files, device="cpu", output_type=types.RGB, random_area=[0.08, 1.0], random_aspect_ratio=[0.75, 4 / 3])
            x = fn.resize(x, resize_x=SIDE, resize_y=SIDE, interp_type=types.INTERP_LINEAR)
            x = fn.crop_mirror_normalize(x, mirror=fn.random.coin_flip(), dtype=types.FLOAT, output_layout=layout, mean=[255 * m for m in MEAN],
                                         std=[255 * s for s in STD])
            return x, labels

        p = recipe()
        p.build()
        return p

    def batches(p, n):
        for _ in range(n):
            p.run()
        return n * BATCH

    def seconds(p):
        batches(p, 3)
        start = time.process_time()
        batches(p, 4)
        return time.process_time() - start

    tried = [(seconds(p), n, p) for n, p in ((f"{layout}, {'dynamic' if d else 'static'} executor", pipe(layout, d))
                                             for layout in ("CHW", "HWC") for d in (False, True))]
    _, name, best = min(tried, key=lambda t: t[0])
    steps = EPOCHS * (best.epoch_size("files") // BATCH)
    # batches that were made ahead while others had their turn are used up first; as many are ahead when the clock stops
    return f"DALI {nvidia.dali.__version__}, {name}", lambda: (lambda: batches(best, 3), lambda: batches(best, steps))


PIECES = {"resize": resize, "loader": loader, "tensors": lambda folder: loader(folder, True), "dali": dali}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in PIECES:
        sys.exit(__doc__)
    try:
        said, make = PIECES[sys.argv[1]](sys.argv[2])
    except Exception as e:  # a peer that cannot run is a row that says so
        print(json.dumps({"why": f"{type(e).__name__}: {e}".split("\n")[0][:160]}), flush=True)
        return
    before, turn = make()
    print(json.dumps({"ready": said}), flush=True)
    for _ in sys.stdin:
        if before:
            before()
        wall, cpu = time.perf_counter(), time.process_time()
        images = turn()
        print(json.dumps({"images": images, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True)


if __name__ == "__main__":
    main()
