"""`make scan`: what it does when a scanner finds something, and when there is none."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.docker.dockerfile import ROOT


@pytest.fixture
def scan(tmp_path):
    """Run the script in a folder whose scanners end as they are told, and say that they were called."""
    shutil.copy(ROOT / "tools" / "scan", tmp_path)
    (tmp_path / ".scan" / "bin").mkdir(parents=True)
    (tmp_path / "bin").mkdir()

    def run(*arguments: str, **codes: int) -> tuple[int, list[str], str]:
        for name, code in codes.items():
            program = tmp_path / (".scan/bin/pip-audit" if name == "audit" else f"bin/{name}")
            program.write_text(f'#!/bin/bash\necho "{name} $*"\nexit {code}\n')
            program.chmod(0o755)
        words = ["bash", "scan", "constraints.txt", *arguments]
        environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


def test_packages_alone(scan):
    code, (audited, said), errors = scan(audit=0)
    assert (code, errors) == (0, "")
    assert audited.endswith("-r constraints.txt")
    # What could not be asked about is no success.
    assert "--strict" in audited
    assert said == "No image was scanned; `make scan IMAGE=NAME:TAG` does it."


@pytest.mark.parametrize("scanner", ["trivy", "grype"])
@pytest.mark.parametrize(("packages", "image", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (0, 2, 1), (2, 2, 1)])
def test_a_finding_of_either_is_told_by_the_exit_code(scan, scanner, packages, image, code):
    found, lines, _ = scan("gpu:1", audit=packages, **{scanner: image})
    assert found == code
    # One that finds something does not keep the other from looking.
    assert [line.split()[0] for line in lines] == ["audit", scanner]
    assert "gpu:1" in lines[1]


def test_no_scanner_for_the_image_is_one_line_and_no_success(scan):
    code, lines, errors = scan("gpu:1", audit=0)
    assert code == 1
    assert len(lines) == 1
    assert errors == "Missing: trivy or grype (install one of them, then run this again); gpu:1 was not scanned.\n"
