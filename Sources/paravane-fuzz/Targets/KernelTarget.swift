import Compression
import Devices
import GuestMemory
import Hypervisor
import Processor
import Random
import Silicon

/// Kernels made in memory: an ELF file with Xen's notes, as it is or in a bzImage.
enum SampleKernel {
  static let virtualBase: UInt64 = 0xFFFF_FFFF_8000_0000

  static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
  }

  static func note(_ type: UInt32, _ value: [UInt8]) -> [UInt8] {
    var bytes = little(UInt32(4)) + little(UInt32(value.count)) + little(type) + Array("Xen\0".utf8) + value
    while bytes.count & 3 != 0 { bytes.append(0) }
    return bytes
  }

  static func text(_ string: String) -> [UInt8] { Array(string.utf8) + [0] }

  static func elf() -> [UInt8] {
    var notes = note(6, text("linux")) + note(7, text("2.6")) + note(5, text("xen-3.0")) + note(3, little(virtualBase))
    notes += note(1, little(virtualBase + 0x100010)) + note(2, little(virtualBase + 0x101000)) + note(9, text("yes"))
    notes += note(8, text("generic")) + note(4, little(UInt64(0))) + note(17, little(UInt32(0x8801)))
    notes += note(10, Array("!writable_page_tables|pae_pgdir_above_4gb".utf8)) + note(13, little(UInt64(1)) + little(UInt64(1)))
    notes += note(12, little(UInt64(0xFFFF_8000_0000_0000))) + note(15, little(UInt64(0x80_0000_0000))) + note(16, little(UInt32(1)))
    let code = [UInt8](repeating: 0x90, count: 12288)
    let start = UInt64(64 + 56 * 2)
    var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
    file += little(UInt16(2)) + little(UInt16(62)) + little(UInt32(1)) + little(UInt64(0x100000)) + little(UInt64(64))
    file += little(UInt64(0)) + little(UInt32(0)) + little(UInt16(64)) + little(UInt16(56)) + little(UInt16(2)) + little(UInt16(64))
    file += little(UInt16(0)) + little(UInt16(0))
    file += little(UInt32(4)) + little(UInt32(4)) + little(start) + little(UInt64(0)) + little(UInt64(0))
    file += little(UInt64(notes.count)) + little(UInt64(notes.count)) + little(UInt64(4))
    file += little(UInt32(1)) + little(UInt32(7)) + little(start + UInt64(notes.count)) + little(virtualBase + 0x100000)
    file += little(UInt64(0x100000)) + little(UInt64(code.count)) + little(UInt64(20480)) + little(UInt64(4096))
    return file + notes + code
  }

  static func bzImage(_ payload: [UInt8]) -> [UInt8] {
    var image = [UInt8](repeating: 0, count: 4 * 512 + 0x2CC)
    image[0x1F1] = 3
    image.replaceSubrange(0x1FE..<0x200, with: [0x55, 0xAA])
    image.replaceSubrange(0x202..<0x206, with: Array("HdrS".utf8))
    image.replaceSubrange(0x206..<0x208, with: little(UInt16(0x20F)))
    image.replaceSubrange(0x248..<0x24C, with: little(UInt32(0x2CC)))
    image.replaceSubrange(0x24C..<0x250, with: little(UInt32(payload.count)))
    return image + payload + [UInt8](repeating: 0, count: 100)
  }

  static func zstd(_ bytes: [UInt8]) -> [UInt8] { ((try? zstdCompress(bytes)) ?? []) + little(UInt32(bytes.count)) }

  static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    let deflated = (try? deflateRaw(bytes, windowBits: 15)) ?? []
    let check = bytes.withUnsafeBytes { crc32Checksum($0) }
    return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + deflated + little(check) + little(UInt32(bytes.count))
  }
}

/// A machine that does nothing and remembers nothing.
final class SilentServices: DomainServices {
  var now: Cycles = 0
  var cyclesPerSecond: UInt64 { 1_000_000_000 }
  var wallClockAtStart: UInt64 { 0 }
  func setTimer(vcpu: Int, kind: TimerKind, at cycle: Cycles?) {}
  func consoleWrite(_ bytes: [UInt8]) {}
  func eventSent(port: UInt32) {}
  func domainEnded(_ reason: DomainEnd) {}
  func log(_ message: @autoclosure () -> String) {}
}

/// A domain with one vCPU at its start of day.
struct SampleDomain {
  let services = SilentServices()
  let domain: Domain
  let start: StartOfDay
  var vcpu: PVCPU { domain.vcpus[0] }

  init(_ image: KernelImage, pages: Int = 2048, seed: UInt64? = nil) throws {
    let order: FrameOrder = seed.map { .scattered(seed: $0) } ?? .identity
    let memory = try MachineMemory(frameCount: FrameTable.machineFramesNeeded(guestPages: pages, order: order))
    let frames = try FrameTable(memory: memory, guestPages: pages, order: order)
    domain = Domain(id: DomainID(1), memory: memory, frames: frames, initialPages: pages, services: services)
    domain.vcpus = [PVCPU(id: 0, vcpu: VCPU(memory: memory))]
    start = try DomainBuilder().build(
      domain: domain, kernel: image, ramdisk: nil, commandLine: "quiet", storePort: 1, consolePort: 2)
  }
}

/// The loader: mutated bzImages, ELF files and notes, and the domain that is built of what it takes.
struct KernelTarget: FuzzTarget {
  private let elf = SampleKernel.elf()
  private let images: [[UInt8]]
  private var loaded = 0
  private var built = 0
  var summary: String { ", \(loaded) kernels loaded, \(built) domains built" }

  init() {
    images = [
      elf, SampleKernel.bzImage(elf), SampleKernel.bzImage(SampleKernel.zstd(elf)), SampleKernel.bzImage(SampleKernel.gzip(elf)),
      SampleKernel.gzip(elf),
    ]
  }

  mutating func run(_ random: inout SeededRandom) -> String? {
    let kind = Int(random.below(8))
    var bytes = kind < images.count ? images[kind] : elf
    if kind >= images.count {
      // Headers and notes are what matters: the first kilobyte.
      var head = Array(bytes[0..<900])
      Mutator.mutate(&head, &random)
      bytes = head + bytes[900...]
    } else {
      Mutator.mutate(&bytes, &random)
    }
    guard let image = try? KernelImage.load(bytes) else { return nil }
    loaded += 1
    guard image.end < 16 << 20, let sample = try? SampleDomain(image) else { return nil }
    built += 1
    let problems = sample.domain.pageTables.checkInvariants()
    return problems.first
  }
}

/// Compressed data of every format.
struct CompressionTarget: FuzzTarget {
  private let samples: [[UInt8]]
  init() {
    let text = (0..<6000).map { UInt8(truncatingIfNeeded: ($0 &* $0) >> 7) }
    samples = [SampleKernel.gzip(text), (try? zstdCompress(text)) ?? [], text]
  }

  mutating func run(_ random: inout SeededRandom) -> String? {
    var bytes = samples[Int(random.below(UInt64(samples.count)))]
    Mutator.mutate(&bytes, &random)
    let limit = Int(random.below(20_000))
    for format in CompressionFormat.allCases {
      if let result = try? decompress(bytes, format: format, limit: limit), result.count > limit { return "\(format): over the limit" }
    }
    _ = try? inflateRaw(bytes, count: limit)
    _ = try? zstdDecompress(bytes, count: limit)
    return nil
  }
}
