// What is to be known of a kind of block by those who treat all kinds alike: the checks of packed
// weights, plans, and the execution of networks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/section_reader.h"
#include "blocks/stem.h"
#include "core/parallel.h"

namespace seaformer {

// Of dense maps [batch, height, width, channels]; all from 1 up.
struct MapSize : MapShape {
  int64_t channels;
  int64_t elements() const { return pixels() * channels; }
};

// A block and the sizes of what it reads; the second is of use to those that read two maps.
struct BlockCall {
  const PackedHeader& weights;
  bool residual;  // the input is added to the output
  MapSize input, coarse;
};

struct BlockArrays {
  const StemImages& images;  // what a stem reads
  // Of the weights' element type, as is what is written.
  const void *input, *coarse;
  void* output;
  int32_t* winners;  // of a segmentation head: its pixels' best classes, or null
  void* workspace;
};

// Weights are those that check() let through, but in check() itself.
class BlockKind {
 public:
  virtual Sections sections(const PackedHeader& weights) const = 0;

  // Throws std::invalid_argument, which names `op`, unless the fields are possible. Input and
  // output channels are already known to be.
  virtual void check(const char* /*op*/, const PackedHeader& /*weights*/) const {}

  // Whether there are weights of int8 of it.
  virtual bool has_int8() const { return false; }
  // Whether what is written is float32 then.
  virtual bool writes_floats() const { return false; }

  // Maps that a step of a network reads, of in_channels and of hidden_channels; 0: it can be none.
  virtual int maps() const { return 1; }
  // Of the one that is of use for its size alone.
  virtual bool reads_size_only(int /*map*/) const { return false; }
  virtual bool may_add_input(const PackedHeader& /*weights*/) const { return false; }
  // Whether maps of these sizes can be read together.
  virtual bool fits(const PackedHeader& /*weights*/, const MapSize& /*input*/,
                    const MapSize& /*coarse*/) const {
    return true;
  }
  // Of maps that fit; of no pixels where there is none for the input.
  virtual MapSize output_size(const PackedHeader& weights, const MapSize& input,
                              const MapSize& /*coarse*/ = {}) const {
    return {input, weights.out_channels};
  }
  // Whether run() writes them, on demand.
  virtual bool writes_winners() const { return false; }

  // Bytes that run() needs, kWorkspaceAlignment aligned, when given this many threads.
  virtual std::size_t workspace(const BlockCall& call, int64_t threads) const = 0;
  virtual void run(const BlockCall& call, const BlockArrays& arrays,
                   const Parallel& parallel) const = 0;

 protected:
  ~BlockKind() = default;
};

#define SEAFORMER_KIND(enumerator, name, code) const BlockKind& name##_kind();
#include "blocks/kinds.inc"
#undef SEAFORMER_KIND

// The kind of that code, or null.
const BlockKind* find_kind(int64_t code);

// Of checked weights.
inline const BlockKind& kind_of(const PackedHeader& weights) { return *find_kind(weights.kind); }

// Parts of the checks of several kinds.
bool is_activation(int32_t code, Activation most = Activation::kLast);
void check_activation(const char* op, int32_t code);
void check_output_activation(const char* op, const PackedHeader& weights);
void check_hidden_channels(const char* op, const PackedHeader& weights);
// As many output channels as input ones; and as many hidden ones.
void check_output_channels(const char* op, const PackedHeader& weights);
void check_equal_channels(const char* op, const PackedHeader& weights);

}  // namespace seaformer
