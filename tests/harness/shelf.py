"""A shelf of packages in the place of PyPI, for a real pip in a .venv that is made in half a second."""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pip


def wheel(folder, name, files, version="1.0.0"):
    """A wheel of these files; returns its path."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in {**files, **metadata, f"{info}/RECORD": ""}.items():
            archive.writestr(file, content)
    return path


def sdist(folder, name, files, version):
    """A source package of these files."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
    with tarfile.open(folder / f"{stem}.tar.gz", "w:gz") as archive:
        for file, content in {**files, **metadata}.items():
            entry = tarfile.TarInfo(f"{stem}/{file}")
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))


def bare_venv(folder):
    """A .venv whose pip is that of the tests, and nothing else in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    next(folder.glob("lib/python*/site-packages")).joinpath("pip").symlink_to(Path(pip.__file__).parent)
