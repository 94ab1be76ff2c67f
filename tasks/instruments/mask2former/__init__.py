"""GenEval's detector: the official mmdet Mask2Former (Swin-S, COCO instances) in transformers' modules."""
