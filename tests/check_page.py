"""Checks a page of `wavefield plot`: exit status 0 if it is sound, else a line that says why not.

check_page.py svg FILE TEXT ...     well-formed XML, each TEXT the whole of some text element
check_page.py png FILE WIDTH HEIGHT every chunk's checksum, and pixels of that size that differ
"""
import struct
import sys
import xml.etree.ElementTree as tree
import zlib


def check_svg(path, *texts):
    root = tree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    if root.tag != space + "svg":
        sys.exit(f"{path}: the root is {root.tag}")
    found = {"".join(text.itertext()) for text in root.iter(space + "text")}
    for text in texts:
        if text not in found:
            sys.exit(f"{path}: no text \"{text}\" among {sorted(found)}")
    if not any(True for _ in root.iter(space + "path")):
        sys.exit(f"{path}: nothing is drawn")


def chunks(data):
    at = 8
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        (checksum,) = struct.unpack(">I", data[at + 8 + size : at + 12 + size])
        if checksum != zlib.crc32(name + body):
            sys.exit(f"chunk {name} is damaged")
        yield name, body
        at += 12 + size


def check_png(path, width, height):
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        sys.exit(f"{path}: no PNG")
    parts = list(chunks(data))
    found_width, found_height, depth, kind = struct.unpack(">IIBB", parts[0][1][:10])
    if (found_width, found_height) != (int(width), int(height)):
        sys.exit(f"{path}: {found_width} x {found_height}")
    if parts[-1][0] != b"IEND":
        sys.exit(f"{path}: cut short")
    pixels = zlib.decompress(b"".join(body for name, body in parts if name == b"IDAT"))
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    row = 1 + (found_width * samples * depth + 7) // 8
    if len(pixels) != row * found_height:
        sys.exit(f"{path}: {len(pixels)} bytes of pixels, expected {row * found_height}")
    if len(set(pixels)) < 16:
        sys.exit(f"{path}: blank")


{"svg": check_svg, "png": check_png}[sys.argv[1]](*sys.argv[2:])
