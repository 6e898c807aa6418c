// The Python module seaformer_kernels._C: loading it registers the ops, calling it asks the core.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "blocks/upsample_argmax.h"
#include "core/cpu.h"
#include "kernels/kernels.h"
#include "network/arena.h"

namespace py = pybind11;

PYBIND11_MODULE(_C, m) {
  using namespace seaformer;
  m.doc() = "What Python asks of the native core of seaformer_kernels.";
  m.def("features", &cpu_features, "Processor features that kernels could use.");
  m.def(
      "isas",
      [] {
        py::list all;
        for (const IsaStatus& s : isa_statuses()) {
          all.append(py::make_tuple(isa_name(s.isa), s.supported, s.reason));
        }
        return all;
      },
      "(name, supported, reason) of every instruction set, widest first.");
  m.def(
      "kernels",
      [] {
        py::list all;
        for (const KernelStatus& k : kernel_statuses()) {
          py::list variants;
          for (Isa isa : k.variants) variants.append(isa_name(isa));
          all.append(py::make_tuple(k.name, variants, isa_name(k.chosen), element_name(k.element)));
        }
        return all;
      },
      "(name, compiled variants, chosen variant, element type) of every kernel.");
  m.def("active_isa", [] { return isa_name(active_isa()); });
  m.def(
      "force_isa",
      [](std::optional<std::string> name) -> std::optional<std::string> {
        const std::optional<Isa> before =
            force_isa(name ? std::optional<Isa>(parse_isa(*name)) : std::nullopt);
        if (!before) return std::nullopt;
        return isa_name(*before);
      },
      py::arg("name"),
      "Forces an instruction set, or None for the automatic choice; returns the last.");
  m.def("run_fma_rounds", &run_fma_rounds, py::arg("rounds"),
        py::call_guard<py::gil_scoped_release>(),
        "Multiplies and adds in registers with the active ISA; returns how many multiply-adds.");
  m.def("release_arenas", &release_arenas,
        "Gives memory kept for the next call of a whole network back; returns how many bytes.");
  m.def(
      "upsample_argmax_workspace",
      [](int64_t batch, int64_t classes, std::pair<int64_t, int64_t> in,
         std::pair<int64_t, int64_t> out, int64_t threads, bool dense) {
        const UpsampleArgmaxShape shape{batch, classes, in.first, in.second, out.first, out.second};
        Logits logits = channels_last(nullptr, shape);
        if (!dense) logits.class_stride = in.first * in.second;
        return upsample_argmax_workspace(shape, logits, threads);
      },
      py::arg("batch"), py::arg("classes"), py::arg("in_size"), py::arg("out_size"),
      py::arg("threads"), py::arg("channels_last") = true,
      "Bytes of memory that upsample_argmax takes beside its output.");
}
