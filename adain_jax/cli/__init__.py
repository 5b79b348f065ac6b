"""The command lines of `infer.py`, `convert_vgg.py` and `train.py`."""
