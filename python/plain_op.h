// Ops in plain PyTorch, which Python defines, for dtypes that no kernel takes.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <array>

namespace seaformer {

// The results of an op, given by its full name, of arguments that were checked.
template <std::size_t kResults, class... Arguments>
std::array<torch::stable::Tensor, kResults> call_plain(const char* op,
                                                       const Arguments&... arguments) {
  std::array<StableIValue, std::max(sizeof...(arguments), kResults)> stack{
      torch::stable::detail::from(arguments)...};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher(op, "", stack.data(), TORCH_ABI_VERSION));
  std::array<torch::stable::Tensor, kResults> results;
  for (std::size_t i = 0; i < kResults; ++i) {
    results[i] = torch::stable::detail::to<torch::stable::Tensor>(stack[i]);
  }
  return results;
}

}  // namespace seaformer
