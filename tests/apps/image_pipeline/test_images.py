"""Pictures of every kind become the same kind of array, and what is no picture becomes a clear error."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from apps.image_pipeline import images
from apps.image_pipeline.images import decode, normalised, prepare
from kapelle.errors import InvalidInput
from tests.apps.image_pipeline.conftest import noise, saved

FILES = {
    (mode, kind): saved(noise().convert(mode), kind)
    for mode, kinds in {
        "RGB": ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "TGA"),
        "L": ("JPEG", "PNG", "GIF"),
        "P": ("PNG", "GIF", "TIFF"),
        "1": ("PNG", "TIFF", "BMP"),
        "RGBA": ("PNG", "WEBP", "TIFF"),
        "CMYK": ("JPEG", "TIFF"),
        "YCbCr": ("JPEG", "TIFF"),
        "I": ("TIFF",),
        "F": ("TIFF",),
    }.items()
    for kind in kinds
}


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.parametrize(("mode", "kind"), FILES)
def test_formats_and_colour_spaces(mode: str, kind: str) -> None:
    picture = decode(FILES[mode, kind])
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert prepare(picture).shape == (3, 32, 32)
    assert prepare(picture).dtype == np.float32


def test_colours_are_right() -> None:
    red = Image.new("RGB", (40, 40), (255, 0, 0))
    for picture in (red, red.convert("P"), red.convert("CMYK"), red.convert("YCbCr")):
        kind = "JPEG" if picture.mode in ("CMYK", "YCbCr") else "PNG"
        middle = decode(saved(picture, kind))[20, 20].astype(int)
        assert abs(middle - [255, 0, 0]).max() < 6


def test_sixteen_bits_become_eight() -> None:
    levels = np.full((8, 8), 65535 // 2, np.uint16)
    assert decode(saved(Image.fromarray(levels), "PNG"))[0, 0].tolist() == [127] * 3
    spread = np.linspace(-5.0, 5.0, 64, dtype=np.float32).reshape(8, 8)
    found = decode(saved(Image.fromarray(spread), "TIFF"))
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.filterwarnings("error")
def test_values_that_are_not_finite_do_not_hide_the_others() -> None:
    depths = np.array([[1.0, 2.0, 3.0], [np.inf, -np.inf, np.nan]], np.float32)
    assert decode(saved(Image.fromarray(depths), "TIFF"))[..., 0].tolist() == [[0, 127, 255], [255, 0, 0]]
    nothing = np.full((2, 2), np.nan, np.float32)
    assert decode(saved(Image.fromarray(nothing), "TIFF")).max() == 0


def test_what_is_transparent_lies_on_white() -> None:
    clear = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    assert decode(saved(clear, "PNG"))[5, 5].tolist() == [255, 255, 255]


def test_pictures_stand_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    assert decode(saved(noise(60, 90), "JPEG", exif=exif)).shape == (90, 60, 3)


def test_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    animated = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(animated)[10, 10].tolist() == [255, 0, 0]


def test_any_size_will_do() -> None:
    for size in ((1, 1), (1, 500), (500, 1), (32, 32), (31, 33)):
        assert prepare(decode(saved(Image.new("RGB", size), "PNG"))).shape == (3, 32, 32)


def test_large_photographs_are_decoded_small() -> None:
    assert decode(saved(noise(1600, 2400), "JPEG")).shape == (200, 300, 3)


def test_the_middle_is_looked_at() -> None:
    picture = np.zeros((32, 96, 3), np.uint8)
    picture[:, 32:64] = 255
    assert prepare(picture).tolist() == normalised(np.full((32, 32, 3), 255, np.uint8)).tolist()


def bomb(side: int) -> bytes:
    """A file that says it is very large; it holds nothing of that."""
    header = b"P6 %d %d 255\n" % (side, side)
    return header + b"\x00" * 100


def field(record: int, number: int, value: bytes) -> bytes:
    """A piece of an IPTC file."""
    return bytes([0x1C, record, number]) + len(value).to_bytes(2, "big") + value


LARGE = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 9_000, 9_000)
"""How a PNG begins that is far larger than any icon."""


def icon(content: bytes) -> bytes:
    """A file of one icon, which says of itself that it has 16 x 16 pixels."""
    return struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(content), 22) + content


def inside_iptc(content: bytes) -> bytes:
    """A file that says of itself that it is a JPEG of 10 x 10 pixels; Pillow would open whatever it holds."""
    size = (10).to_bytes(2, "big")
    header = field(3, 20, size) + field(3, 30, size) + field(3, 60, bytes([1, 0])) + field(3, 120, bytes([5]))
    return header + field(8, 10, content) + bytes(5)


def cards(**values: str) -> bytes:
    """A header of a FITS file."""
    lines = [f"{name.replace('_', '-'):8}= {value}".ljust(80) for name, value in values.items()]
    return "".join([*lines, "END".ljust(80)]).ljust(2880).encode()


def compressed_fits() -> bytes:
    """A compressed FITS file, all black."""
    table = cards(
        XTENSION="'BINTABLE'", BITPIX="8", NAXIS="2", NAXIS1="0", NAXIS2="0", ZIMAGE="T", ZCMPTYPE="'GZIP_1  '",
        ZBITPIX="8", ZNAXIS="2", ZNAXIS1="90", ZNAXIS2="60",
    )  # fmt: skip
    return cards(SIMPLE="T", BITPIX="8", NAXIS="0") + table + gzip.compress(bytes(4 * 90 * 60)).ljust(2880, b"\0")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello, this is text", "not a picture"),
        (saved(noise(), "JPEG")[:300], "damaged"),
        (saved(noise(), "PNG")[:-200], "damaged"),
        (saved(noise(), "EPS"), "not a picture"),
        (inside_iptc(saved(noise(6, 9), "EPS")), "not a picture"),
        (inside_iptc(saved(noise(), "PNG")), "not a picture"),
        (compressed_fits(), "not a picture"),
        (icon(LARGE), "an icon of 9000 x 9000 pixels; expected at most"),
        (b"icns" + LARGE, "an icon of 9000 x 9000 pixels; expected at most"),
        (icon(struct.pack("<Iii2H", 40, 7_000, -14_000, 1, 8)), "an icon of 7000 x 14000 pixels; expected at most"),
        (bomb(30_000), "too large"),
        (bomb(9_000), "9000 x 9000 pixels; expected at most"),
    ],
    ids=[
        "empty",
        "text",
        "cut JPEG",
        "cut PNG",
        "PostScript",
        "PostScript inside",
        "PNG inside",
        "FITS",
        "PNG in ICO",
        "PNG in ICNS",
        "BMP in ICO",
        "bomb",
        "large",
    ],
)
def test_what_is_no_picture_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        decode(content)
    assert refused.value.path == "$.file"


def test_damage_of_rarer_formats_is_told() -> None:
    content = bytearray(saved(noise(), "AVIF"))
    at = content.index(b"mdat") + 8
    content[at : at + 4] = b"\x7f" * 4
    with pytest.raises(InvalidInput, match="the picture is damaged"):
        decode(bytes(content))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (saved(noise().convert("P"), "BLP"), "BLP"),
        (saved(noise(), "QOI"), "QOI"),
        (b"P3 1 1 255\n" + b"#\n" * 300_000 + b"1 2 3\n", "PPM"),
        (b"P6 4000 3000 254\n123", "PPM"),
    ],
)
def test_what_is_decoded_in_python_is_refused_where_it_would_take_long(
    content: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_IN_PYTHON", 1_000)
    with pytest.raises(InvalidInput, match=f"this kind of {kind} takes too long to decode; expected at most"):
        decode(content)


@pytest.mark.parametrize(
    "content",
    [
        saved(noise().convert("P"), "BLP"), saved(noise(), "QOI"), b"P3 1 1 255\n1 2 3\n", b"P6 1 1 254\n123",
        saved(noise(), "ICO", sizes=[(64, 48)]), saved(noise(), "ICNS"),
    ],
    ids=["BLP", "QOI", "PPM as text", "PPM of few levels", "ICO", "ICNS"],
)  # fmt: skip
def test_small_ones_of_rare_formats_are_read(content: bytes) -> None:
    assert decode(content).ndim == 3


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    whole = saved(noise(), "JPEG", progressive=True)
    first, last, end = whole.index(b"\xff\xda"), whole.rindex(b"\xff\xda"), len(whole) - 2
    return whole[:end] + whole[last:end] * (count - whole.count(b"\xff\xda", first)) + whole[end:]


def test_a_jpeg_has_so_many_scans() -> None:
    assert decode(scans(50)).shape == (60, 90, 3)
    with pytest.raises(InvalidInput, match="a JPEG of 51 scans; expected at most 50"):
        decode(scans(51))


@pytest.mark.parametrize("more", [{"exif": b"Exif\0\0" + b"\xff\xda" * 99}, {"comment": b"\xff\xd9\xff\xda"}, {}])
def test_what_looks_like_a_scan_is_none(more: dict[str, bytes]) -> None:
    content = saved(noise(), "JPEG", restart_marker_blocks=1, **more) + b"\xff\xda" * 99  # as a film after a picture
    assert decode(content).shape == (60, 90, 3)


def test_sizes_are_checked_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(noise(), "BMP")
    monkeypatch.setattr(images, "MOST_PIXELS", 100)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(InvalidInput, match="90 x 60 pixels"):
        decode(content)


@pytest.mark.filterwarnings("ignore")
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    st.floats(0.3, 1),
)
def test_damage_is_an_error_and_nothing_worse(
    file: tuple[str, str], changes: list[tuple[int, int]], kept: float
) -> None:
    content = bytearray(FILES[file])
    for at, value in changes:
        content[at % len(content)] = value
    try:
        picture = decode(bytes(content[: int(len(content) * kept)]))
    except InvalidInput:
        return
    assert prepare(picture).shape == (3, 32, 32)
