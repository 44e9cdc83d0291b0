"""Files of pictures as arrays: any format Pillow reads, upright, in colour, as the classifier wants them."""

from __future__ import annotations

import io
import re
import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from kapelle.errors import InvalidInput

SIDE = 32
MOST_PIXELS = 50_000_000
"""What a file says of its size is believed, and checked, before anything is decoded."""
MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32)
DEVIATION = np.array([0.2470, 0.2435, 0.2616], np.float32)
MOST_IN_ICONS = 2_000_000
"""Pixels of each picture in a file of icons. The largest that systems show have 1024 x 1024."""
MOST_SCANS = 50
"""Of a progressive JPEG, each of which goes over the whole picture; cameras and tools write a dozen."""

MOST_IN_PYTHON = 8_000_000
MOST_AS_TEXT = 500_000
"""Bytes, and pixels, of what Pillow takes apart in Python: some seconds of a core. For PPM as text, time grows with the
square of the bytes."""

_FILE = "$.file"
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_END, _SCAN = 0xD9, 0xDA

Image.init()
FORMATS = tuple(sorted(set(Image.OPEN) - {"EPS", "IPTC", "FITS"}))
"""All that Pillow reads, but for three.

PostScript (EPS) is a program, which Pillow would have another program run. An IPTC file holds another file, of any format
(PostScript, too) and size, whatever it says of itself. A compressed FITS file is taken apart pixel by pixel, in Python:
200 KB of one keep a core busy for a minute.
"""
_ICONS = (b"\0\0\1\0", b"icns")
_IN_ICONS = re.compile(
    rb"\x89PNG\r\n\x1a\n.{4}IHDR(?P<png>.{8})|ihdr(?P<jp2>.{8})|\x28\x00\x00\x00(?P<bmp>.{8})\x01\x00", re.DOTALL
)
"""The sizes of what is in a file of icons, whatever that says of itself: width and height, or the other way round."""

Picture = NDArray[np.uint8]
Tensor = NDArray[np.float32]

# What damaged files make Pillow's decoders raise; none of it is a fault of ours.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
)


def decode(content: bytes) -> Picture:
    """The first frame of a file as height x width x 3, turned as its EXIF data says; transparency lies on white.

    Raises:
        InvalidInput: it is no picture, cut short, larger than ``MOST_PIXELS``, or would keep a core busy for long.
    """
    if not content:
        raise InvalidInput("the file is empty; expected a picture", path=_FILE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities in metadata, which do not matter here
            _check_icons(content)
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                # A JPEG can be decoded at an eighth to a half of its size, which is much faster and takes less memory.
                picture.draft("RGB", (4 * SIDE, 4 * SIDE))
                _check_speed(picture, content)
                _check_size(picture)
                upright = ImageOps.exif_transpose(picture)
                return np.asarray(_in_colour(upright))
    except UnidentifiedImageError:
        raise InvalidInput(
            "not a picture in a format that is known here; expected JPEG, PNG, WebP or the like",
            path=_FILE,
        ) from None
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"the picture is too large: {error}", path=_FILE) from None
    except _DAMAGE as error:
        raise InvalidInput(f"the picture is damaged: {error}", path=_FILE) from None


def prepare(picture: Picture) -> Tensor:
    """The middle square of height x width x 3, as the classifier's 3 x 32 x 32."""
    height, width, _ = picture.shape
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    small = Image.fromarray(picture).resize(
        (SIDE, SIDE),
        Image.Resampling.BOX if side >= 2 * SIDE else Image.Resampling.BICUBIC,
        (left, top, left + side, top + side),
    )
    return normalised(np.asarray(small))


def normalised(picture: Picture) -> Tensor:
    """32 x 32 x 3 from 0 to 255 as 3 x 32 x 32 of mean 0 and deviation 1, over the pictures that were learned from."""
    x = (picture.astype(np.float32) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def _check_size(picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise InvalidInput(
            f"a picture of {width} x {height} pixels; expected at most {MOST_PIXELS:,} in all", path=_FILE
        )


def _check_icons(content: bytes) -> None:
    """Refuse a file of icons that holds something large. Pillow decodes it while it opens it."""
    if not content.startswith(_ICONS):
        return
    for found in _IN_ICONS.finditer(content):
        size = found["png"] or found["jp2"] or found["bmp"]
        order: Literal["little", "big"] = "little" if found["bmp"] else "big"
        width, height = (abs(int.from_bytes(side, order, signed=True)) for side in (size[:4], size[4:]))
        if width * height > MOST_IN_ICONS:
            raise InvalidInput(f"an icon of {width} x {height} pixels; expected at most {MOST_IN_ICONS:,}", path=_FILE)


def _check_speed(picture: ImageFile.ImageFile, content: bytes) -> None:
    """Refuse what a small file can keep a core busy with for minutes."""
    if picture.format in ("JPEG", "MPO") and (scans := _scans(content)) > MOST_SCANS:
        raise InvalidInput(f"a JPEG of {scans} scans; expected at most {MOST_SCANS}", path=_FILE)
    # Kinds that Pillow takes apart byte by byte in Python: BLP, MSP, QOI, XPM, and some of BMP, DDS and PPM.
    for decoder, *_ in picture.tile:
        most = MOST_AS_TEXT if decoder == "ppm_plain" else MOST_IN_PYTHON
        if decoder in Image.DECODERS and max(len(content), picture.width * picture.height) > most:
            raise InvalidInput(
                f"this kind of {picture.format} takes too long to decode; expected at most {most:,} pixels and bytes, or "
                "JPEG, PNG, WebP or the like",
                path=_FILE,
            )


def _scans(jpeg: bytes) -> int:
    """How often a JPEG goes over its picture."""
    count = at = 0
    while (found := _MARKER.search(jpeg, at)) and found[1][0] != _END:
        count += found[1][0] == _SCAN
        # Most segments say their own length; what they hold is not looked at. The data of a scan has no markers.
        at = found.end() + (0 if at == 0 else int.from_bytes(jpeg[found.end() : found.end() + 2]))
    return count


def _in_colour(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_many_levels(picture)
    if picture.has_transparency_data:
        layers = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return picture.convert("RGB")


def _from_many_levels(picture: Image.Image) -> Image.Image:
    """A grey picture of 16 bits or more: Pillow's own conversion would cut off what is beyond 255."""
    values = np.asarray(picture, np.float64)
    # A map of depths may say that the sky is infinitely far: that is white, and the rest is spread as if it were not there.
    finite = np.isfinite(values)
    low, high = values.min(where=finite, initial=np.inf), values.max(where=finite, initial=-np.inf)
    if low < 0 or high > 65535 or picture.mode == "F":
        values = (values - low) * (255 / (high - low) if high > low else 0)
    elif picture.mode.startswith("I;16") or high > 255:
        values = values * (255 / 65535)
    return Image.fromarray(np.nan_to_num(values.clip(0, 255)).astype(np.uint8)).convert("RGB")
