"""Data: images, tables, counts and series, how they become what a likelihood is defined on, and in which order they
train.

Light to import: what reads a format (Pillow, h5py, tensorflow-datasets, Grain) is imported where it is needed.
"""

from vae_jax.data.arrays import Split as Split
from vae_jax.data.arrays import load_arrays as load_arrays
from vae_jax.data.arrays import load_parts as load_parts
from vae_jax.data.batches import NextBatch as NextBatch
from vae_jax.data.batches import shuffled_batches as shuffled_batches
from vae_jax.data.builders import DATA_SETS as DATA_SETS
from vae_jax.data.builders import load as load
from vae_jax.data.columns import Column as Column
from vae_jax.data.columns import Kind as Kind
from vae_jax.data.describing import described as described
from vae_jax.data.factors import DSPRITES as DSPRITES
from vae_jax.data.factors import FACTOR_DATA_SETS as FACTOR_DATA_SETS
from vae_jax.data.factors import SHAPES3D as SHAPES3D
from vae_jax.data.factors import FactorImages as FactorImages
from vae_jax.data.factors import FactorsDataset as FactorsDataset
from vae_jax.data.factors import load_factors as load_factors
from vae_jax.data.finding import checked_labels as checked_labels
from vae_jax.data.finding import find as find
from vae_jax.data.finding import load_like as load_like
from vae_jax.data.foreign import as_arrays as as_arrays
from vae_jax.data.found import Form as Form
from vae_jax.data.found import Found as Found
from vae_jax.data.found import Layout as Layout
from vae_jax.data.found import Part as Part
from vae_jax.data.found import Stored as Stored
from vae_jax.data.hashing import content_hash as content_hash
from vae_jax.data.hashing import split_hash as split_hash
from vae_jax.data.idx import FASHION_MNIST as FASHION_MNIST
from vae_jax.data.idx import MNIST as MNIST
from vae_jax.data.idx import IdxDataset as IdxDataset
from vae_jax.data.idx import IdxFile as IdxFile
from vae_jax.data.images import REAL_NUMBERS as REAL_NUMBERS
from vae_jax.data.images import as_images as as_images
from vae_jax.data.images import check_images as check_images
from vae_jax.data.images import is_grey as is_grey
from vae_jax.data.leading import num_examples as num_examples
from vae_jax.data.npy import NpyImages as NpyImages
from vae_jax.data.npy import NpyRows as NpyRows
from vae_jax.data.sampling import permuted as permuted
from vae_jax.data.sampling import shuffled_indices as shuffled_indices
from vae_jax.data.splits import Splits as Splits
from vae_jax.data.splits import check_labels as check_labels
from vae_jax.data.splits import load_splits as load_splits
from vae_jax.data.splits import stream_splits as stream_splits
from vae_jax.data.sprites import FACTOR_NAMES as FACTOR_NAMES
from vae_jax.data.sprites import FACTOR_SIZES as FACTOR_SIZES
from vae_jax.data.sprites import NUM_SPRITES as NUM_SPRITES
from vae_jax.data.sprites import factors_of as factors_of
from vae_jax.data.sprites import index_of as index_of
from vae_jax.data.sprites import render as render
from vae_jax.data.streaming import Source as Source
from vae_jax.data.streaming import Stream as Stream
from vae_jax.data.streaming import gather as gather
from vae_jax.data.streaming import read_share as read_share
from vae_jax.data.streaming import stream as stream
from vae_jax.data.streaming import streamed_batches as streamed_batches
from vae_jax.data.transforms import binarize as binarize
from vae_jax.data.transforms import dequantize as dequantize
from vae_jax.data.transforms import scale_to_unit as scale_to_unit
from vae_jax.data.transforms import static_binarize as static_binarize
from vae_jax.data.units import to_own_units as to_own_units
from vae_jax.data.units import to_stored as to_stored
