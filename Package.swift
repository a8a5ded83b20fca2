// swift-tools-version: 6.0
import Foundation
import PackageDescription

// The modules of Paravane, each with what it may import (Documentation/Architecture.md).
// PARAVANE_ONLY=X86,GuestMemory builds those modules, their tests and what they stand on, and nothing else: the quick
// loop for work on one module.

let hot: [SwiftSetting] = [.swiftLanguageMode(.v6)]
let safe: [SwiftSetting] = [.swiftLanguageMode(.v6)]

func library(_ name: String, path: String, apt package: String) -> Target {
  .systemLibrary(name: name, path: path, providers: [.apt([package])])
}

var targets: [Target] = [
  .target(name: "CHost"),
  library("CZlib", path: "Sources/CZlib", apt: "zlib1g-dev"),
  library("CLzma", path: "Sources/CLzma", apt: "liblzma-dev"),
  library("CLz4", path: "Sources/CLz4", apt: "liblz4-dev"),
  library("CZstd", path: "Sources/CZstd", apt: "libzstd-dev"),
  library("CBzip2", path: "Sources/CBzip2", apt: "libbz2-dev"),
  library("CSlirp", path: "Sources/CSlirp", apt: "libslirp-dev"),
  library("CCrypto", path: "Sources/CCrypto", apt: "libssl-dev"),
  library("CCapstone", path: "Sources/CCapstone", apt: "libcapstone-dev"),
  .target(name: "Random", swiftSettings: safe),
  .target(name: "X86", swiftSettings: safe),
  .target(name: "GuestMemory", dependencies: ["CHost"], swiftSettings: hot),
  .target(name: "Processor", dependencies: ["X86", "GuestMemory", "CHost"], swiftSettings: hot),
  .target(name: "Devices", swiftSettings: safe),
  .target(name: "Compression", dependencies: ["CHost", "CZlib", "CLzma", "CLz4", "CZstd", "CBzip2"], swiftSettings: safe),
  .target(
    name: "Hypervisor", dependencies: ["Processor", "GuestMemory", "Devices", "Compression", "X86"],
    swiftSettings: safe),
  .target(name: "Xenstore", dependencies: ["Devices"], swiftSettings: safe),
  .target(name: "Storage", dependencies: ["Compression", "CHost", "CZlib", "CZstd"], swiftSettings: safe),
  .target(name: "HostLinks", dependencies: ["CSlirp", "CHost"], swiftSettings: safe),
  .target(
    name: "BackEnds", dependencies: ["Hypervisor", "Xenstore", "Storage", "HostLinks", "GuestMemory", "Devices"],
    swiftSettings: safe),
  .target(
    name: "Motherboard", dependencies: ["Devices", "GuestMemory", "Storage", "HostLinks", "CHost", "CZlib"], swiftSettings: safe),
  .target(name: "Configuration", swiftSettings: safe),
  .target(
    name: "Machine",
    dependencies: [
      "Hypervisor", "Xenstore", "BackEnds", "Motherboard", "Storage", "HostLinks", "Configuration", "Processor",
      "GuestMemory", "Devices", "Compression", "X86", "CCrypto", .product(name: "Logging", package: "swift-log"),
    ], swiftSettings: safe),
  .target(name: "Silicon", dependencies: ["Random", "Processor", "GuestMemory", "X86", "CHost"], swiftSettings: hot),
  .executableTarget(
    name: "paravane-fuzz",
    dependencies: [
      "Random", "Silicon", "X86", "Processor", "GuestMemory", "Hypervisor", "Devices", "Compression", "Xenstore", "BackEnds",
      "Motherboard", "HostLinks", "Storage", "Configuration", "CHost",
    ], swiftSettings: safe),
  .executableTarget(
    name: "paravane",
    dependencies: [
      "Machine", "Configuration", "Storage", "HostLinks", "Hypervisor", "Processor", "CHost",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ], swiftSettings: safe),
]

// Every module's tests stand beside it by name; CCapstone is a test's oracle only.
let extraTestDependencies: [String: [Target.Dependency]] = [
  "X86": ["CCapstone", "Random"], "Processor": ["CHost", "X86", "GuestMemory", "CCapstone", "Random"], "Hypervisor": ["Random"],
  "Storage": ["Random"], "Xenstore": ["Random"], "BackEnds": ["Random"], "Compression": ["Random"], "Configuration": ["Random"],
  "Silicon": ["Random"],
]
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
for name in targets.filter({ $0.type == .regular || $0.type == .executable }).map(\.name) {
  guard FileManager.default.fileExists(atPath: root.appending(path: "Tests/\(name)Tests").path) else { continue }
  targets.append(
    .testTarget(
      name: "\(name)Tests", dependencies: [.byName(name: name)] + (extraTestDependencies[name] ?? []),
      exclude: FileManager.default.fileExists(atPath: root.appending(path: "Tests/\(name)Tests/Golden").path) ? ["Golden"] : [],
      swiftSettings: [.swiftLanguageMode(.v6)]))
}

var dependencies: [Package.Dependency] = [
  .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
]

if let only = ProcessInfo.processInfo.environment["PARAVANE_ONLY"] {
  func name(_ dependency: Target.Dependency) -> String {
    switch dependency {
    case .targetItem(let name, _), .byNameItem(let name, _), .productItem(let name, _, _, _): return name
    @unknown default: return ""
    }
  }
  var keep = Set(only.split(separator: ",").flatMap { [String($0), "\($0)Tests"] })
  var grew = true
  while grew {
    let more = Set(targets.filter { keep.contains($0.name) }.flatMap { $0.dependencies.map(name) })
    grew = !more.isSubset(of: keep)
    keep.formUnion(more)
  }
  targets.removeAll { !keep.contains($0.name) }
  if !keep.contains("ArgumentParser") && !keep.contains("Logging") { dependencies = [] }
}

let package = Package(
  name: "paravane", platforms: [.macOS(.v15)],
  products: targets.contains { $0.name == "paravane" } ? [.executable(name: "paravane", targets: ["paravane"])] : [],
  dependencies: dependencies, targets: targets)
