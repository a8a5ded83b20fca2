import Compression
import Foundation
import Testing

@testable import Machine

struct KernelCacheTests {
  /// How often something was unpacked.
  private final class Count { var value = 0 }

  private struct Trial {
    let cache: KernelCache

    /// Unpacks a "kernel" that is told by its first byte: how often that took unpacking.
    func count(_ kernel: UInt8, _ format: CompressionFormat) throws -> Int {
      let count = Count()
      let packed = [UInt8](repeating: kernel, count: 100)
      let unpacked = try packed.withUnsafeBytes { bytes in
        try cache.unpacked(bytes, format) {
          count.value += 1
          return [UInt8](repeating: kernel, count: 5000)
        }
      }
      #expect(unpacked == [UInt8](repeating: kernel, count: 5000))
      return count.value
    }
  }

  private func withTrial(_ body: (Trial) throws -> Void) throws {
    let directory = FileManager.default.temporaryDirectory.path + "/kernel-cache-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(Trial(cache: KernelCache(directory: directory)))
  }

  private func files(_ cache: KernelCache) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: cache.directory)) ?? []).map { cache.directory + "/" + $0 }
  }

  @Test func aKernelIsUnpackedOnce() throws {
    try withTrial { (trial: Trial) throws -> Void in
      #expect(try trial.count(1, .xz) == 1)
      #expect(try trial.count(1, .xz) == 0)
      #expect(try trial.count(2, .xz) == 1)
      #expect(try trial.count(1, .bzip2) == 0)
      // What unpacks fast is not kept.
      #expect(try trial.count(3, .gzip) == 1)
      #expect(try trial.count(3, .gzip) == 1)
      #expect(files(trial.cache).count == 2)
      for kernel in 10..<20 as Range<UInt8> { #expect(try trial.count(kernel, .lzma) == 1) }
      #expect(files(trial.cache).count == KernelCache.limit)
    }
  }

  @Test func whatIsNotWholeOrNotSafeIsNotUsed() throws {
    try withTrial { (trial: Trial) throws -> Void in
      #expect(try trial.count(1, .xz) == 1)
      let path = try #require(files(trial.cache).first)
      let whole = try #require(FileManager.default.contents(atPath: path))
      var changed = whole
      changed[7] ^= 1
      for bytes in [changed, whole.prefix(3000), whole + [0], Data()] {
        try bytes.write(to: URL(fileURLWithPath: path))
        #expect(try trial.count(1, .xz) == 1)
        #expect(try trial.count(1, .xz) == 0)
      }
      #expect(chmod(path, 0o666) == 0)
      #expect(try trial.count(1, .xz) == 1)
    }
  }

  @Test func whatAKilledRunLeftHalfWrittenIsRemoved() throws {
    try withTrial { (trial: Trial) throws -> Void in
      #expect(try trial.count(1, .xz) == 1)
      let path = try #require(files(trial.cache).first)
      #expect(unlink(path) == 0)
      // No process has a number so high (PID_MAX_LIMIT); the parent, which runs, may be writing; a container's runs share a number.
      let gone = "\(path).4194305"
      let writing = "\(path).\(getppid())"
      let own = "\(path).\(getpid())"
      let another = trial.cache.directory + "/notes.txt"
      for file in [gone, writing, own, another] { try Data([1, 2, 3]).write(to: URL(fileURLWithPath: file)) }
      #expect(try trial.count(1, .xz) == 1)
      #expect(Set(files(trial.cache)) == [path, writing, another])
      #expect(try trial.count(1, .xz) == 0)
    }
  }

  @Test(.timeLimit(.minutes(1))) func aPipeInAKernelsPlaceIsNotWaitedFor() throws {
    try withTrial { (trial: Trial) throws -> Void in
      #expect(try trial.count(1, .xz) == 1)
      let path = try #require(files(trial.cache).first)
      #expect(unlink(path) == 0)
      #expect(mkfifo(path, 0o600) == 0)
      #expect(try trial.count(1, .xz) == 1)
      #expect(try trial.count(1, .xz) == 0)
    }
  }

  @Test func itWorksWithoutADirectory() throws {
    let cache = KernelCache(directory: "/proc/nowhere")
    let packed: [UInt8] = [1, 2, 3]
    for _ in 0..<2 {
      let unpacked = try packed.withUnsafeBytes { try cache.unpacked($0, .xz) { [4] } }
      #expect(unpacked == [4])
    }
  }

  @Test func theUserSaysWhere() {
    #expect(KernelCache.directory(["PARAVANE_CACHE": "/a", "HOME": "/h"]) == "/a")
    #expect(KernelCache.directory(["PARAVANE_CACHE": "", "HOME": "/h"]) == nil)
    #expect(KernelCache.directory(["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/paravane")
    #expect(KernelCache.directory(["XDG_CACHE_HOME": "x", "HOME": "/h"]) == "/h/.cache/paravane")
    #expect(KernelCache.directory([:]) == nil)
  }
}
