"""`python -m train.raft FILE`: the weights of torchvision's small RAFT as safetensors, for
`--flow-weights`."""

import argparse
import sys
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from stylevid.errors import StylevidError, WeightsError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.raft", description=__doc__)
    parser.add_argument("file", type=Path, help="the .safetensors to write")
    options = parser.parse_args(arguments)
    try:
        write(options.file)
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def write(path: Path) -> None:
    """Download the weights and write them.

    Raises:
        WeightsError: they cannot be downloaded or written.
    """
    try:
        tensors = {key: tensor.contiguous() for key, tensor in _from_torchvision().items()}
        save_file(tensors, path, {"source": "torchvision Raft_Small_Weights.C_T_V2"})
    except (OSError, RuntimeError) as cause:  # urllib's errors are OSErrors; a wrong hash is not
        raise WeightsError(f"{path} was not written: {cause}. Check the network.") from cause


def _from_torchvision() -> dict[str, Tensor]:
    from torchvision.models.optical_flow import Raft_Small_Weights

    # From PyTorch's server, hash-checked and opened by torchvision with weights_only.
    state = Raft_Small_Weights.C_T_V2.get_state_dict(progress=True, check_hash=True)
    return dict(state)


if __name__ == "__main__":
    sys.exit(main())
