"""A SaaS API: accounts by the LAUNCH contract, and a plan that is paid for."""
