"""Disentanglement scores: pure functions of codes [N, d] and factors [N, k], whatever model the codes are from."""

from vae_jax.disentanglement.bootstrap import bootstrap_interval as bootstrap_interval
from vae_jax.disentanglement.dci import dci as dci
from vae_jax.disentanglement.dci import dci_gradient_boosting as dci_gradient_boosting
from vae_jax.disentanglement.dci import dci_lasso as dci_lasso
from vae_jax.disentanglement.explicitness import (
    explicitness_logistic_regression as explicitness_logistic_regression,
)
from vae_jax.disentanglement.interventional import (
    beta_vae_score_logistic_regression as beta_vae_score_logistic_regression,
)
from vae_jax.disentanglement.interventional import factor_vae_score as factor_vae_score
from vae_jax.disentanglement.interventional import fixed_factor_groups as fixed_factor_groups
from vae_jax.disentanglement.interventional import fixed_factor_pairs as fixed_factor_pairs
from vae_jax.disentanglement.modularity import modularity as modularity
from vae_jax.disentanglement.mutual_information import binned_information as binned_information
from vae_jax.disentanglement.mutual_information import joint_entropy_gap as joint_entropy_gap
from vae_jax.disentanglement.mutual_information import mutual_information_gap as mutual_information_gap
from vae_jax.disentanglement.sampled_mig import sampled_mutual_information_gap as sampled_mutual_information_gap
from vae_jax.disentanglement.sap import sap_linear_svm as sap_linear_svm
from vae_jax.disentanglement.sap import sap_squared_correlation as sap_squared_correlation
from vae_jax.disentanglement.udr import udr_lasso as udr_lasso
from vae_jax.disentanglement.udr import udr_spearman as udr_spearman
from vae_jax.disentanglement.unsupervised import gaussian_total_correlation as gaussian_total_correlation
from vae_jax.disentanglement.unsupervised import (
    gaussian_wasserstein_correlation as gaussian_wasserstein_correlation,
)
from vae_jax.disentanglement.unsupervised import mean_mutual_information as mean_mutual_information
