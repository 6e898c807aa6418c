"""The command line as a whole, and its small commands."""

import json
import subprocess
import sys

import pytest
import torch
from command_line import run

import seaformer_kernels as sk
from seaformer_kernels.cli import main
from seaformer_kernels.cli.commands import seaformer


def test_version():
    assert sk.__version__ in run("--version").stdout


def test_info():
    result = run("info")
    assert result.exit_code == 0
    assert sk.__version__ in result.stdout and torch.__version__ in result.stdout
    assert json.loads(run("info", "--json").stdout) == json.loads(
        json.dumps(sk.cpu.info().to_dict())
    )


@pytest.mark.parametrize("command", seaformer.commands)
def test_each_command_has_help_for_each_option(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    for option in seaformer.commands[command].params:
        assert option.param_type_name == "argument" or option.help or option.name == "task"


def test_a_wrong_forced_isa_is_told(monkeypatch):
    def info():
        raise ValueError("SEAFORMER_FORCE_ISA: unknown ISA 'z80'")

    monkeypatch.setattr(sk.cpu, "info", info)
    result = run("info")
    assert result.exit_code == 1 and "unknown ISA 'z80'" in result.stderr


def test_without_click_one_sentence_names_the_extra():
    code = (
        "import sys; sys.modules['click'] = None\n"
        "from seaformer_kernels.cli import main; sys.exit(main())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == ("The command line needs click: pip install 'seaformer-kernels[cli]'\n")


@pytest.mark.parametrize("library", ["rich", "PIL"])
def test_without_its_other_libraries_too(library, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("seaformer_kernels.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main() == 1
    assert f"needs {library}: pip install" in capsys.readouterr().err
