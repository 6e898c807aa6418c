"""Values of options: sizes and files of class names."""

import click
import pytest
from command_line import run, segment

from seaformer_kernels.cli import bench as bench_command
from seaformer_kernels.cli.params import ClassNamesFile, Size, parse_class_names

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread", "one_network")


@pytest.mark.parametrize(
    ("text", "size"), [("640x480", (640, 480)), ("512", (512, 512)), ("32x99999", (32, 99999))]
)
def test_size_is_width_by_height_or_a_side(text, size):
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["31x64", "64x31", "0", "31"])
def test_sizes_below_the_network_s_are_refused(text):
    with pytest.raises(click.BadParameter, match=f"at least 32 pixels, got {text}"):
        Size().convert(text, None, None)


@pytest.mark.parametrize("text", ["", "x", "64x", "64X64", "64x64x3", "-64x64", "1e3", "640000x2"])
def test_other_sizes_are_refused(text):
    with pytest.raises(click.BadParameter, match="expected WIDTHxHEIGHT or the side of a square"):
        Size().convert(text, None, None)


def test_bench_takes_width_by_height_too(monkeypatch):
    given = []

    def default_plan(names, sizes, *rest):
        given.extend(sizes)
        raise ValueError("no more of it")

    monkeypatch.setattr(bench_command.suite, "default_plan", default_plan)
    result = run("bench", "--size", "96x64", "--size", "128", "--no-charts")
    assert "no more of it" in result.output, result.output
    assert given == [(64, 96), (128, 128)]  # height and width, as in a tensor


# Class names

NAMES = {
    "a line each": "tench\ngreat white shark\n",
    "spaces and ends of lines": "tench\r\n great  white shark \r\n\n",
    "JSON list": '["tench", "great white shark"]',
    "JSON by label": '{"1": "great white shark", "0": "tench"}',
    "JSON of ImageNet": '{"0": ["n01440764", "tench"], "1": ["n01484850", "great white shark"]}',
}


@pytest.mark.parametrize("kind", NAMES)
def test_class_names_come_in_several_forms(kind):
    assert parse_class_names(NAMES[kind]) == ("tench", "great white shark")


def test_a_file_of_class_names_may_have_a_byte_order_mark(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("tench\nété\n", "utf-8-sig")
    assert ClassNamesFile().convert(str(path), None, None) == (path, ("tench", "été"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected class names, got none"),
        ("[]", "expected class names, got none"),
        ("{}", "expected class names, got none"),
        ("a\n\nb", "expected a name for label 1, got ''"),
        ('["a", 2]', "expected a name for label 1, got 2"),
        ('["a", []]', "expected a name for label 1, got []"),
        ('{"tench": 0}', "expected the labels 0 to 0 as keys, got tench"),
        ('{"0": "a", "2": "b"}', "expected the labels 0 to 1 as keys, got 0, 2"),
        ('["a",', "expected JSON, as it begins like it, but"),
        (b"\xff\xfe", "expected UTF-8 text"),
        (None, "cannot be read: No such file"),
    ],
)
def test_wrong_class_names_are_usage_errors(picture, tmp_path, content, message):
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "names").write_bytes(data)
    result = segment(picture, "--classes", "names")
    assert result.exit_code == 2
    assert f"names: {message}" in " ".join(result.stderr.split())
