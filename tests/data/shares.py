"""One of two processes that read a chunk together; prints what it read as JSON.

python -m tests.data.shares ADDRESS PROCESS
"""

import json
import sys

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from tests.data.sources import IMAGES, Counted
from vae_jax import InputError
from vae_jax.data import read_share


def main(address: str, process: int) -> None:
    jax.distributed.initialize(address, num_processes=2, process_id=process)
    sharding = NamedSharding(jax.make_mesh((4,), ("data",)), P(None, "data"))
    index = np.random.default_rng(0).permutation(len(IMAGES))[:12]
    index = np.concatenate([index, index[::-1]]).reshape(3, 8)
    source = Counted()
    chunk = read_share(source, index, sharding)
    assert chunk["x"].shape == (3, 8, 2, 3, 1)
    shards = sorted(
        zip(*(chunk[k].addressable_shards for k in ("c", "x")), strict=True), key=lambda s: s[0].index[1].start
    )
    for c, x in shards:
        np.testing.assert_array_equal(x.data, IMAGES[np.asarray(c.data)])
    try:
        read_share(source, index[:, :6], sharding)
    except InputError as error:
        refused = str(error).split(":")[0]
    columns = np.concatenate([np.asarray(c.data) for c, _ in shards], axis=1)
    print(
        json.dumps({"read": source.read, "index": index.tolist(), "columns": columns.tolist(), "refused": refused})
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
