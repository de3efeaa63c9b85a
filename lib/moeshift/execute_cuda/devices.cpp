// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/devices.hpp"

#include <map>

#include <fmt/format.h>

#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {
namespace {

std::string version_text(int code) {
  return fmt::format("{}.{}", code / 1000, code % 1000 / 10);
}

}  // namespace

std::string cuda_unavailable_reason() {
  int devices = 0;
  const cudaError_t result = cudaGetDeviceCount(&devices);
  if (result != cudaSuccess) {
    (void)cudaGetLastError();
    return std::string("no usable GPU: ") + cudaGetErrorString(result);
  }
  return devices == 0 ? "this machine has no GPU" : "";
}

std::size_t visible_devices() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return static_cast<std::size_t>(devices);
}

Facts cuda_facts() {
  int driver = 0;
  int runtime = 0;
  check(cudaDriverGetVersion(&driver));
  check(cudaRuntimeGetVersion(&runtime));
  return {{"cuda_driver", version_text(driver)}, {"cuda_runtime", version_text(runtime)}};
}

std::string found_cuda() {
  const Facts versions = cuda_facts();
  std::string text = fmt::format("CUDA {}, driver {}", versions[1].second, versions[0].second);
  std::map<std::string, std::size_t> devices;
  for (std::size_t i = 0; i < visible_devices(); ++i) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, static_cast<int>(i)));
    ++devices[properties.name];
  }
  for (const auto& [name, count] : devices) text += fmt::format(", {} x {}", count, name);
  return text;
}

Facts device_facts(DeviceId device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device.ordinal));
  return {{"device", fmt::format("{} {}", device.ordinal, properties.name)},
          {"device_memory", fmt::format("{}", properties.totalGlobalMem)},
          {"device_pci", fmt::format("{:04x}:{:02x}:{:02x}", properties.pciDomainID,
                                     properties.pciBusID, properties.pciDeviceID)},
          {"multiprocessors", fmt::format("{}", properties.multiProcessorCount)}};
}

}  // namespace moeshift
