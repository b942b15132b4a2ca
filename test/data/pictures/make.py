# Writes the pictures of this folder with Pillow, and pillow.json: what Pillow itself reads in them, upright, in colour
# and in grey, and resized; digests are the first twelve digits of SHA-1. pip install pillow; python make.py
import hashlib, io, json, math, os, random
from PIL import Image, ImageOps, __version__, features

def draw(width, height, seed):
    random.seed(seed)
    cx, cy = random.random() * width, random.random() * height
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            d = math.hypot(x - cx, y - cy)
            image.putpixel((x, y), (int(127 + 120 * math.sin(d / 3)), int(255 * x / width) ^ (x * y & 31), int(127 + 120 * math.cos(x / 4 + y / 7))))
    return image

def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif

kinds = {
    "base420.jpg": (draw(37, 29, 1), dict(quality=75, subsampling=2)),
    "base422.jpg": (draw(37, 29, 1), dict(quality=90, subsampling=1)),
    "base444.jpg": (draw(41, 23, 1), dict(quality=95, subsampling=0)),
    "progressive.jpg": (draw(50, 33, 1), dict(quality=80, progressive=True)),
    "restart.jpg": (draw(63, 47, 1), dict(quality=75, restart_marker_blocks=2)),
    "coarse.jpg": (draw(33, 33, 1), dict(quality=1)),
    "one.jpg": (draw(1, 1, 1), dict()),
    "grey.jpg": (draw(45, 31, 2).convert("L"), dict()),
    "cmyk.jpg": (draw(45, 31, 2).convert("CMYK"), dict()),
    "grey.png": (draw(45, 31, 2).convert("L"), dict()),
    "alpha.png": (draw(29, 37, 3).convert("RGBA"), dict()),
    "palette.png": (draw(29, 37, 3).quantize(17), dict()),
    "bits.png": (draw(29, 37, 3).convert("1"), dict()),
    "turned.png": (draw(29, 37, 3), dict(exif=oriented(8))),
    **{f"turned{o}.jpg": (draw(31, 20, 4), dict(quality=80, exif=oriented(o))) for o in range(2, 9)},
}
kinds["alpha.png"][0].putalpha(Image.linear_gradient("L").resize((29, 37)))

sha = lambda image: hashlib.sha1(image.tobytes()).hexdigest()[:12]
FILTERS = dict(bilinear=Image.Resampling.BILINEAR, bicubic=Image.Resampling.BICUBIC, lanczos=Image.Resampling.LANCZOS, box=Image.Resampling.BOX)
SIZES = [(16, 16), (64, 50), (30, 20)]

def cropped(image, size, keep=1.0):
    """torchvision's Resize and CenterCrop."""
    to = int(size / keep)
    w, h = image.size
    short, long = (w, h) if w <= h else (h, w)
    longer = int(to * long / short)
    image = image.resize((to, longer) if w <= h else (longer, to), Image.Resampling.BILINEAR)
    top, left = int(round((image.height - size) / 2.0)), int(round((image.width - size) / 2.0))
    return image.crop((left, top, left + size, top + size))

folder = os.path.dirname(os.path.abspath(__file__))
found = {}
for name, (image, options) in kinds.items():
    path = os.path.join(folder, name)
    image.save(path, **options)
    if name == "cmyk.jpg":
        continue
    seen = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    found[name] = dict(size=list(seen.size), colour=sha(seen), grey=sha(seen.convert("L")), crop=[sha(cropped(seen, 21)), sha(cropped(seen, 14, 0.875))])
    if name in ("base444.jpg", "turned6.jpg", "one.jpg"):
        found[name]["resized"] = {key: [sha(seen.resize((w, h), how)) for h, w in SIZES] for key, how in FILTERS.items()}
with open(os.path.join(folder, "pillow.json"), "w") as file:
    json.dump(dict(pillow=__version__, libjpeg_turbo=features.version("libjpeg_turbo"), pictures=found), file, indent=2)
    file.write("\n")
