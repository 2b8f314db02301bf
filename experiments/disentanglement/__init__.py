"""The study of Locatello et al. 2019: unsupervised methods, strengths and seeds, trained and scored alike."""
