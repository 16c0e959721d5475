"""Data packages as the resolver takes them from a package index, made by the tests."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from rust_ai_core.model_sources import DataPackage

FIRST = DataPackage("tiny-data", "1.0", "tiny_data/model")
SECOND = DataPackage("other-tiny-data", "2.0", "other_tiny_data/files/tiny")


def package_files(package: DataPackage, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """What a wheel of the package holds. It depends on something that does not exist."""
    information = f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    metadata = (
        f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n"
        "Requires-Dist: a-package-that-nobody-made\n"
    )
    wheel = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {f"{package.folder}/{name}": data for name, data in contents.items()}
    files[f"{information}/METADATA"] = metadata.encode()
    files[f"{information}/WHEEL"] = wheel.encode()
    files[f"{information}/RECORD"] = "".join(f"{name},,\n" for name in files).encode()
    return files


def install(site: Path, package: DataPackage, contents: Mapping[str, bytes]) -> None:
    for name, data in package_files(package, contents).items():
        file = site / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def publish(index: Path, package: DataPackage, contents: Mapping[str, bytes]) -> Path:
    wheel = index / f"{package.name.replace('-', '_')}-{package.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in package_files(package, contents).items():
            archive.writestr(name, data)
    return wheel


def assert_holds(folder: Path, contents: Mapping[str, bytes]) -> None:
    assert {name: (folder / name).read_bytes() for name in contents} == contents
