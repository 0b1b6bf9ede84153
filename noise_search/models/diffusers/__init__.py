"""Text-to-image pipelines of diffusers as models: one file a family. Ours are the integrator and the ledger."""
