// SPDX-License-Identifier: Apache-2.0
// How one projection of an expert is stored.
#include "moeshift/model/checkpoint/hf_layouts.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace moeshift {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

std::string dtype_named(const JsonReader& json) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kNames = {
      {{"bfloat16", "bf16"},
       {"float16", "fp16"},
       {"float32", "fp32"},
       {"torch.bfloat16", "bf16"},
       {"torch.float16", "fp16"},
       {"torch.float32", "fp32"},
       {"bf16", "bf16"},
       {"fp16", "fp16"},
       {"half", "fp16"},
       {"fp32", "fp32"},
       {"float", "fp32"},
       {"float8_e4m3fn", "fp8_e4m3"}}};
  const std::string text = json.string();
  for (const auto& [name, dtype] : kNames) {
    if (text == name) return std::string(dtype);
  }
  json.fail("expected bfloat16, float16 or float32");
}

}  // namespace

bool hf_flag(const JsonReader& json, std::string_view key, bool otherwise) {
  const auto found = json.find(key);
  return found && !found->is_null() ? found->boolean() : otherwise;
}

std::int64_t hf_number(const JsonReader& json, std::string_view key, std::int64_t otherwise) {
  const auto found = json.find(key);
  return found && !found->is_null() ? found->whole(-1, 1 << 20) : otherwise;
}

std::string hf_text(const JsonReader& json, std::string_view key) {
  const auto found = json.find(key);
  return found && found->is_string() ? found->string() : "";
}

std::string weight_dtype(const HfConfig& config, std::vector<std::string>& assumed) {
  std::optional<std::string> dtype;
  for (const char* key : {"torch_dtype", "dtype"}) {
    const auto found = config.find({key});
    if (!found || !found->is_string()) continue;
    const std::string other = dtype_named(*found);
    if (dtype && *dtype != other) {
      found->fail(fmt::format("expected {}, as torch_dtype says", *dtype));
    }
    dtype = other;
  }
  if (dtype) return *dtype;
  assumed.emplace_back("torch_dtype is not given: bf16");
  return "bf16";
}

Layout plain(const std::string& dtype) {
  return [dtype](const Projection& p, std::vector<ExpertTensor>& tensors) {
    tensors.push_back(make_tensor(p.name + ".weight", {p.out, p.in}, dtype));
  };
}

Layout scaled(const std::string& dtype, std::int64_t rows, std::int64_t columns,
              const std::string& scale, const std::string& scale_dtype, bool zeros) {
  return [=](const Projection& p, std::vector<ExpertTensor>& tensors) {
    tensors.push_back(make_tensor(p.name + ".weight", {p.out, p.in}, dtype));
    const std::int64_t down = rows == 0 ? 1 : ceil_div(p.out, rows);
    const std::int64_t across = columns == 0 ? 1 : ceil_div(p.in, columns);
    tensors.push_back(make_tensor(p.name + "." + scale, {down, across}, scale_dtype));
    if (zeros) {
      tensors.push_back(make_tensor(p.name + ".weight_zero_point", {down, across}, dtype));
    }
  };
}

Layout nvfp4(std::int64_t group) {
  const Layout blocks = scaled("fp4_e2m1", 1, group, "weight_scale", "fp8_e4m3");
  return [blocks](const Projection& p, std::vector<ExpertTensor>& tensors) {
    blocks(p, tensors);
    tensors.push_back(make_tensor(p.name + ".weight_scale_2", {1}, "fp32"));
    tensors.push_back(make_tensor(p.name + ".input_scale", {1}, "fp32"));
  };
}

Layout mxfp4() {
  return scaled("fp4_e2m1", 1, 32, "weight_scale", "e8m0");
}

Layout grouped_integers(std::int64_t bits, std::int64_t group, bool zeros, bool order) {
  const std::string dtype = bits == 8 ? "int8" : "int4";
  return [=](const Projection& p, std::vector<ExpertTensor>& tensors) {
    const std::int64_t groups = group <= 0 ? 1 : ceil_div(p.in, group);
    tensors.push_back(make_tensor(p.name + ".qweight", {p.in, p.out}, dtype));
    if (zeros) tensors.push_back(make_tensor(p.name + ".qzeros", {groups, p.out}, dtype));
    tensors.push_back(make_tensor(p.name + ".scales", {groups, p.out}, "fp16"));
    if (order) tensors.push_back(make_tensor(p.name + ".g_idx", {p.in}, "int32"));
  };
}

}  // namespace moeshift
