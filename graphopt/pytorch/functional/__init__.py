"""What translated graphs call at run time where PyTorch has no function of ONNX's meaning.

Each function works on tensors of any rank, can be differentiated where its operator can, and can be traced by
torch.export with dynamic sizes. Nothing here knows of ONNX graphs.
"""
