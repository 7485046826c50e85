"""Pictures of the command line: every mode is read as it looks, what is lost is told; a suffix says the format."""

from __future__ import annotations

import os
import shutil
import struct
import zlib

import numpy as np
import pytest
from commands import assert_one_sentence, here
from numpy.testing import assert_array_equal
from PIL import Image
from ucorr_tools.pictures.picture import FORMATS, grey, read
from ucorr_tools.shipped import digits

DIGITS = str(digits.DATA / "digits.tflite")
GREY = np.random.default_rng(0).integers(0, 256, (6, 9), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 9, 3), np.uint8)


def reread(image, path, **words):
    """(pixels, notes) of an image that is written first."""
    image.save(path, **words)
    pixels, notes = read(path)
    return pixels, [note.removeprefix(f"{path}: ") for note in notes]


# What is in a picture

WIDE = GREY.astype(np.uint16) * 257


@pytest.mark.parametrize(
    ("mode", "suffix", "notes"),
    [
        ("1", "png", []),
        ("L", "png", []),
        ("LA", "png", ["alpha dropped"]),
        ("P", "png", ["palette converted to RGB"]),
        ("RGB", "png", []),
        ("RGBA", "png", ["alpha dropped"]),
        ("CMYK", "tif", ["CMYK converted to RGB"]),
        ("I;16", "png", ["16 bits scaled to 8"]),
        ("I;16", "tif", ["16 bits scaled to 8"]),
        ("I", "tif", ["16 bits scaled to 8"]),
    ],
)
def test_every_mode_is_read_as_it_looks_and_what_is_lost_is_told(tmp_path, mode, suffix, notes):
    if mode.startswith("I"):
        image, expected = Image.fromarray(WIDE.astype(np.int32 if mode == "I" else np.uint16)), GREY
    else:
        source = Image.fromarray(COLOUR if mode not in ("1", "L", "LA") else GREY)
        image = source.convert(mode)
        expected = np.asarray(image.convert("RGB"))
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(GREY))
    pixels, told = reread(image, tmp_path / f"x.{suffix}")
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    assert_array_equal(pixels, expected, strict=True)
    assert told == notes


def test_grey_is_exact_and_so_are_16_bits():
    assert_array_equal(grey(np.repeat(GREY[..., None], 3, axis=2)), GREY)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, colour, rows):
    """A PNG file of rows of bytes, each with its filter type in front."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bits_of_colour_are_told(tmp_path):
    (tmp_path / "x.png").write_bytes(png(1, 1, 16, 2, b"\0" + bytes([10, 0, 200, 255, 30, 7])))
    pixels, notes = read(tmp_path / "x.png")
    assert (pixels.tolist(), notes) == ([[[10, 200, 30]]], [f"{tmp_path / 'x.png'}: 16 bits scaled to 8"])


@pytest.mark.parametrize("transparency", [3, bytes(range(256))])
def test_transparency_of_a_palette_is_told(tmp_path, transparency):
    image = Image.fromarray(COLOUR).convert("P")
    pixels, notes = reread(image, tmp_path / "x.png", transparency=transparency)
    assert notes == ["palette converted to RGB", "alpha dropped"]
    assert_array_equal(pixels, np.asarray(image.convert("RGB")), strict=True)


def test_transparency_of_16_bits_is_told(tmp_path):
    words = {"transparency": 514}
    assert reread(Image.fromarray(WIDE), tmp_path / "x.png", **words)[1] == ["16 bits scaled to 8", "alpha dropped"]


def tiff(data, shape, bits, meaning, form):
    """A TIFF file of one sample a pixel."""
    tags = {256: shape[1], 257: shape[0], 258: bits, 259: 1, 262: meaning, 273: 8, 277: 1, 278: shape[0]}
    tags |= {279: len(data), 339: form}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_every_sample_of_a_tiff_file_is_read_as_it_looks_or_refused(tmp_path):
    path, twelve = tmp_path / "x.tif", np.arange(6 * 10).reshape(6, 10) * 4095 // 59
    pairs = twelve[:, ::2] << 12 | twelve[:, 1::2]
    packed = b"".join(int(pair).to_bytes(3, "big") for pair in pairs.ravel())
    for data, shape, bits, meaning, form, wanted in (
        (GREY.tobytes(), GREY.shape, 8, 0, 1, 255 - GREY),
        (WIDE.astype("<u2").tobytes(), GREY.shape, 16, 1, 1, GREY),
        (WIDE.astype("<u2").tobytes(), GREY.shape, 16, 0, 1, 255 - GREY),
        ((WIDE // 2).astype("<i2").tobytes(), GREY.shape, 16, 1, 2, (WIDE // 2 + 128) // 257),
        (packed, twelve.shape, 12, 1, 1, np.round(twelve * 255 / 4095)),
    ):
        path.write_bytes(tiff(data, shape, bits, meaning, form))
        pixels, notes = read(path)
        assert_array_equal(pixels[..., 1], wanted)
        assert notes == ([] if bits == 8 else [f"{path}: {bits} bits scaled to 8"])
    path.write_bytes(tiff((GREY ^ 128).tobytes(), GREY.shape, 8, 1, 2))
    with pytest.raises(ValueError, match="pixels of 8 bits with a sign, wanted 8 or 16 bits without one"):
        read(path)


def test_frames_and_exif_are_told(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    pixels, notes = reread(frames[0], tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert "2 frames, the first is taken" in notes
    assert_array_equal(grey(pixels), GREY)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right makes it upright
    pixels, notes = reread(Image.fromarray(GREY), tmp_path / "x.png", exif=exif)
    assert notes == ["turned as its EXIF says"]
    assert_array_equal(pixels[..., 0], np.rot90(GREY, -1))
    exif[0x0112] = 1
    assert reread(Image.fromarray(GREY), tmp_path / "x.png", exif=exif)[1] == []


def broken(tmp_path, name):
    """The path of what is no image that is read."""
    path = tmp_path / name
    if name == "real.tif":
        Image.fromarray(GREY.astype(np.float32)).save(path)
    elif name == "range.tif":
        Image.fromarray(GREY.astype(np.int32) - 9).save(path)
    elif name == "short.png":
        Image.fromarray(COLOUR).save(path)
        path.write_bytes(path.read_bytes()[:-40])
    elif name == "bomb.png":
        path.write_bytes(png(20000, 20000, 8, 0, b""))
    elif name == "half.png":  # Pillow would only warn
        path.write_bytes(png(10000, 10000, 8, 0, b""))
    elif name == "text.png":
        path.write_text("no image")
    else:
        path.touch()
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("real.tif", "real.tif can't be read as an image: pixels are real numbers (mode F), wanted 8 or 16 bits"),
        ("range.tif", "pixels -5..239 of 32 bits, wanted 8 or 16 bits"),
        ("short.png", "short.png can't be read as an image"),
        ("bomb.png", "bomb.png: 400000000 pixels, wanted at most 89478485"),
        ("half.png", "half.png: 100000000 pixels, wanted at most 89478485"),
        ("text.png", "text.png can't be read as an image"),
        ("empty.png", "empty.png can't be read as an image"),
    ],
)
def test_what_is_no_picture_is_one_sentence_in_every_command(tmp_path, name, words):
    path, good = broken(tmp_path, name), tmp_path / "good.png"
    Image.fromarray(GREY).save(good)
    for command in (
        ["filter", path, "identity", tmp_path / "out.png"],
        ["simulate", path, "identity", "--target", "cpython"],
        ["learn", good, path],
        ["run", DIGITS, path],
    ):
        assert_one_sentence(here(*command), words)


def test_notes_are_on_stderr_in_every_command(tmp_path):
    Image.fromarray(np.full((8, 8), 514, np.uint16)).save(tmp_path / "x.png")
    for command in (
        ["filter", tmp_path / "x.png", "identity", tmp_path / "out.png"],
        ["simulate", tmp_path / "x.png", "identity", "--target", "cpython"],
        ["learn", tmp_path / "x.png", tmp_path / "x.png"],
        ["run", DIGITS, tmp_path / "x.png"],
    ):
        result = here(*command)
        assert (result.returncode, set(result.stderr.splitlines())) == (
            0,
            {f"{tmp_path / 'x.png'}: 16 bits scaled to 8"},
        )


# What a picture is written as


@pytest.mark.parametrize("suffix", [*FORMATS, ".JPG"])
def test_a_suffix_says_the_format(tmp_path, suffix):
    Image.fromarray(GREY).save(tmp_path / "in.png")
    output = tmp_path / "new" / f"out{suffix}"
    result = here("filter", tmp_path / "in.png", "identity", output)
    lossy = FORMATS[suffix.lower()] == "JPEG"
    assert (result.returncode, "only nearly" in result.stderr) == (0, lossy)
    with Image.open(output) as image:
        assert image.format == FORMATS[suffix.lower()]
        if not lossy:
            assert_array_equal(grey(np.asarray(image.convert("RGB"))), GREY)


def test_where_nothing_can_be_written_is_one_sentence(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "in.png")
    (tmp_path / "file").touch()
    model = [DIGITS, tmp_path / "x.npy"]
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.int8))
    for output, words in (
        ("/dev/full", "/dev/full: No space left on device"),
        (tmp_path / "file" / "out.png", "file/out.png: "),
    ):
        assert_one_sentence(here("filter", tmp_path / "in.png", "identity", output), words)
        assert_one_sentence(here("learn", tmp_path / "in.png", tmp_path / "in.png", "--output", output), words)
        assert_one_sentence(here("run", *model, "--output", output), words)
        assert_one_sentence(here("convert", DIGITS, output), words)
        assert_one_sentence(here("info", DIGITS, "--picture", output), words)
        assert_one_sentence(here("profile", DIGITS, "--target", "cpython", "--picture", output), words)
    result = here("filter", tmp_path / "in.png", "identity", tmp_path / "out.xyz")
    assert_one_sentence(result, "out.xyz: no image is written as .xyz, wanted .png .jpg")
    assert here("filter", tmp_path / "in.png", "identity", tmp_path).returncode == 2


def test_a_directory_that_is_missing_is_made(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "in.png")
    output = tmp_path / "some" / "new" / "file"
    for words in (["filter", tmp_path / "in.png", "identity", output], ["convert", DIGITS, output]):
        assert here(*words).returncode == 0
        assert output.stat().st_size
        shutil.rmtree(tmp_path / "some")


def test_devices_and_links_are_written_to(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "in.png")
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.int8))
    assert here("filter", tmp_path / "in.png", "identity", "/dev/null").returncode == 0
    assert here("run", DIGITS, tmp_path / "x.npy", "--output", "/dev/null").returncode == 0
    assert not os.path.isfile("/dev/null")
    (tmp_path / "link.png").symlink_to(tmp_path / "target.png")
    assert here("filter", tmp_path / "in.png", "identity", tmp_path / "link.png").returncode == 0
    assert (tmp_path / "link.png").is_symlink()
    with Image.open(tmp_path / "target.png") as image:
        assert_array_equal(np.asarray(image), GREY)
