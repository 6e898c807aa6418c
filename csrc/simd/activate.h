// Activations of vectors. Included inside an ISA's namespace, where Activation is known.

SEAFORMER_INLINE F32 activate(F32 x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at_least(x, splat(0.0f));
    case Activation::kRelu6:
      return at_most(at_least(x, splat(0.0f)), splat(6.0f));
    case Activation::kHardSigmoid:
      return mul(at_most(at_least(add(x, splat(3.0f)), splat(0.0f)), splat(6.0f)),
                 splat(1.0f / 6.0f));
    default:
      return x;
  }
}
