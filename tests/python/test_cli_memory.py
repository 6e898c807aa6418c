"""Running out of memory on an image."""

import pytest
import torch
from command_line import files_in, segment

import seaformer_kernels as sk

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread")


def model_with(forward):
    model = torch.nn.Identity()
    model.forward = forward
    return model


def allocate_too_much(x):
    return torch.empty(1 << 60, dtype=torch.uint8)  # a real failure of torch's allocator


def raise_memory_error(x):
    raise MemoryError


@pytest.mark.parametrize(
    ("forward", "size"),
    [(allocate_too_much, "1,152,921,504.6 GB"), (raise_memory_error, "input alone takes 0 MB")],
)
def test_out_of_memory_tells_image_and_sizes(picture, tmp_path, monkeypatch, forward, size):
    monkeypatch.setattr(sk, "create_model", lambda *args, **kwargs: model_with(forward))
    result = segment(picture, "--eager")
    assert result.exit_code == 1
    assert "photo.png: out of memory at 64x48 pixels" in result.stderr and size in result.stderr
    assert files_in(tmp_path / "out") == []


def test_more_pixels_than_memory_holds_are_refused_before_any_is_taken(picture):
    result = segment(picture, "--resize", "99999x99999")
    assert result.exit_code == 1
    assert "out of memory at 99999x99999 pixels (the network takes more than 320.0 GB" in (
        result.stderr
    )


def test_other_errors_are_not_taken_for_lack_of_memory(picture, monkeypatch):
    def forward(x):
        raise RuntimeError("a bug")

    monkeypatch.setattr(sk, "create_model", lambda *args, **kwargs: model_with(forward))
    with pytest.raises(AssertionError, match="a bug"):
        segment(picture, "--eager")
