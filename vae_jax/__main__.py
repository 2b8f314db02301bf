"""`python -m vae_jax` is the command `vae-jax`."""

from vae_jax.cli import main

if __name__ == "__main__":
    main()
