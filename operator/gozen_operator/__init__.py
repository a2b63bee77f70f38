"""The kopf operator of Gozen; the control plane arrives with a later release."""
