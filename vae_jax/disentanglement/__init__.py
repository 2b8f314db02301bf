"""Disentanglement scores: pure functions of codes [N, d] and factors [N, k], whatever model the codes are from."""

from vae_jax.disentanglement.bootstrap import BootstrapInterval as BootstrapInterval
from vae_jax.disentanglement.bootstrap import bootstrap_interval as bootstrap_interval
from vae_jax.disentanglement.discrete import Information as Information
from vae_jax.disentanglement.discrete import binned_information as binned_information
from vae_jax.disentanglement.discrete import discrete_information as discrete_information
from vae_jax.disentanglement.discrete import equal_width_bins as equal_width_bins
from vae_jax.disentanglement.explicitness import Explicitness as Explicitness
from vae_jax.disentanglement.explicitness import (
    explicitness_logistic_regression as explicitness_logistic_regression,
)
from vae_jax.disentanglement.importance import DCI as DCI
from vae_jax.disentanglement.importance import FittedDCI as FittedDCI
from vae_jax.disentanglement.importance import dci as dci
from vae_jax.disentanglement.importance import dci_gradient_boosting as dci_gradient_boosting
from vae_jax.disentanglement.importance import dci_lasso as dci_lasso
from vae_jax.disentanglement.importance import dci_random_forest as dci_random_forest
from vae_jax.disentanglement.interventional import BetaVAEScore as BetaVAEScore
from vae_jax.disentanglement.interventional import FactorVAEScore as FactorVAEScore
from vae_jax.disentanglement.interventional import (
    beta_vae_score_logistic_regression as beta_vae_score_logistic_regression,
)
from vae_jax.disentanglement.interventional import factor_vae_score as factor_vae_score
from vae_jax.disentanglement.interventional import fixed_factor_groups as fixed_factor_groups
from vae_jax.disentanglement.interventional import fixed_factor_pairs as fixed_factor_pairs
from vae_jax.disentanglement.modular import Modularity as Modularity
from vae_jax.disentanglement.modular import modularity as modularity
from vae_jax.disentanglement.mutual_information import JointEntropyGap as JointEntropyGap
from vae_jax.disentanglement.mutual_information import MutualInformationGap as MutualInformationGap
from vae_jax.disentanglement.mutual_information import information_gap as information_gap
from vae_jax.disentanglement.mutual_information import joint_entropy_gap as joint_entropy_gap
from vae_jax.disentanglement.mutual_information import mutual_information_gap as mutual_information_gap
from vae_jax.disentanglement.sampled_mig import sampled_mutual_information_gap as sampled_mutual_information_gap
from vae_jax.disentanglement.sap import SAP as SAP
from vae_jax.disentanglement.sap import sap_linear_svm as sap_linear_svm
from vae_jax.disentanglement.sap import sap_squared_correlation as sap_squared_correlation
from vae_jax.disentanglement.udr import UDR as UDR
from vae_jax.disentanglement.udr import relative_strength as relative_strength
from vae_jax.disentanglement.udr import udr_lasso as udr_lasso
from vae_jax.disentanglement.udr import udr_spearman as udr_spearman
from vae_jax.disentanglement.unsupervised import Dependence as Dependence
from vae_jax.disentanglement.unsupervised import gaussian_total_correlation as gaussian_total_correlation
from vae_jax.disentanglement.unsupervised import (
    gaussian_wasserstein_correlation as gaussian_wasserstein_correlation,
)
from vae_jax.disentanglement.unsupervised import mean_mutual_information as mean_mutual_information
