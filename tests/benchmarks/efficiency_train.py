"""Worker: ``efficiency_train.py 000 001`` trains and freezes each of these folders, one after the other.

In one process, since for networks this small starting TensorFlow takes as long as training.
"""

from __future__ import annotations

import sys

from deepmd.tf.entrypoints.freeze import freeze
from deepmd.tf.entrypoints.train import train
from deepmd.tf.env import tf


def main() -> None:
    """Train every folder named on the command line."""
    for folder in sys.argv[1:]:
        tf.reset_default_graph()
        train(
            INPUT=f"{folder}/input.json", init_model=None, restart=None, output=f"{folder}/out.json",
            init_frz_model=None, mpi_log="master", log_level=2, log_path=None, skip_neighbor_stat=True,
        )  # fmt: skip
        tf.reset_default_graph()
        freeze(checkpoint_folder=folder, output=f"{folder}/frozen_model.pb")


if __name__ == "__main__":
    main()
