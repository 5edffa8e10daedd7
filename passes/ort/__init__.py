"""Passes that write what onnxruntime's CPU provider runs fastest, its own operators above all."""
