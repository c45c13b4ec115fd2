# SPDX-License-Identifier: MIT
"""
Makes the package's wheel for pip (PEP 517, PEP 660), and leaves nothing behind: setuptools would leave build/ and *.egg-info in the
tree, and is not needed for a few files that are only copied.
"""
import base64
import contextlib
import glob
import hashlib
import importlib.util
import os
import re
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
with contextlib.suppress(OSError):  # what Python has just left of this file
    os.remove(importlib.util.cache_from_source(__file__))
    os.rmdir(os.path.join(HERE, "__pycache__"))


def _project(key):
    with open(os.path.join(HERE, "pyproject.toml"), encoding="utf-8") as file:
        return re.search(rf'^{key} = "(.*)"$', file.read(), re.MULTILINE)[1]


def _write(folder, files):
    """files: {name in the wheel: its bytes}"""
    name = f"{_project('name')}-{_project('version')}"
    info = f"{name}.dist-info"
    metadata = "".join(f"{field}: {text}\n" for field, text in (
        ("Metadata-Version", "2.1"), ("Name", _project("name")), ("Version", _project("version")),
        ("Summary", _project("description")), ("Requires-Python", _project("requires-python")), ("License", "MIT")))
    files = {**files, f"{info}/METADATA": metadata.encode(),
             f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: minivmm\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join(f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
                     for path, data in files.items())
    wheel = f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(path, data)
    return wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """The hook that pip calls for `pip install`."""
    del config_settings, metadata_directory
    files = {}
    for path in sorted(glob.glob(os.path.join(HERE, "minivmm", "*.py")) + [os.path.join(HERE, "minivmm", "py.typed")]):
        with open(path, "rb") as file:
            files[os.path.relpath(path, HERE)] = file.read()
    return _write(wheel_directory, files)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """And for `pip install -e`: only where the package is."""
    del config_settings, metadata_directory
    return _write(wheel_directory, {"minivmm.pth": f"{HERE}\n".encode()})
