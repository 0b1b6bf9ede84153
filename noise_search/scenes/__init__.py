"""Small drawn scenes: captions, what they demand, and their pictures."""
