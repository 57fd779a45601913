"""Calls in a provider's own dialect, made of bodies as OpenAI's protocol has them."""
