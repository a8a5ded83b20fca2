import Foundation
import Random
import Testing

@testable import Compression

private func bytes(_ sample: Sample) -> [UInt8] {
  [UInt8](Data(base64Encoded: sample.base64, options: .ignoreUnknownCharacters) ?? Data())
}

private func format(_ sample: Sample) -> CompressionFormat { CompressionFormat(rawValue: sample.format)! }

struct CompressionTests {
  @Test func everyFormatUnpacksWhatItsOwnToolPacked() throws {
    #expect(Set(Samples.small.map(\.format)) == Set(CompressionFormat.allCases.map(\.rawValue)))
    for sample in Samples.small {
      let unpacked = try decompress(bytes(sample), format: format(sample), limit: 1 << 20)
      #expect(String(decoding: unpacked, as: UTF8.self) == Samples.text, "\(sample.name)")
    }
    let mixed = Samples.mixed
    for sample in Samples.large {
      #expect(try decompress(bytes(sample), format: format(sample), limit: 1 << 20) == mixed, "\(sample.name)")
    }
  }

  @Test func aFormatIsKnownByItsFirstBytes() {
    for sample in Samples.small { #expect(CompressionFormat.detect(bytes(sample)) == format(sample)) }
    #expect(CompressionFormat.detect([0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0]) == nil)
    #expect(CompressionFormat.detect([]) == nil)
  }

  @Test func theLimitIsExact() throws {
    for sample in Samples.small + Samples.large {
      let data = bytes(sample)
      let length = try decompress(data, format: format(sample), limit: 1 << 20).count
      #expect(try decompress(data, format: format(sample), limit: length).count == length, "\(sample.name)")
      for limit in [0, 1, length - 1] {
        #expect(throws: CompressionError.tooLarge(format(sample), limit: limit), "\(sample.name)") {
          try decompress(data, format: format(sample), limit: limit)
        }
      }
    }
  }

  @Test func everyTruncationIsAnError() {
    for sample in Samples.small {
      let data = bytes(sample)
      for cut in 0..<data.count {
        // A legacy LZ4 stream cut between blocks, and a .lzma stream cut after its last data, are whole streams.
        if format(sample) == .lz4Legacy && cut == 4 { continue }
        if let unpacked = try? decompress(Array(data.prefix(cut)), format: format(sample), limit: 1 << 20) {
          #expect(format(sample) == .lzma && unpacked == Array(Samples.text.utf8), "\(sample.name) cut at \(cut)")
        }
      }
    }
  }

  @Test func hostileBytesNeverTrapAndNeverPassTheLimit() {
    var random = SeededRandom(seed: 1)
    for sample in Samples.small + Samples.large {
      let original = bytes(sample)
      for _ in 0..<60 {
        var data = original
        for _ in 0...random.below(4) { data[Int(random.below(UInt64(data.count)))] = UInt8(truncatingIfNeeded: random.next()) }
        if let out = try? decompress(data, format: format(sample), limit: 100_000) { #expect(out.count <= 100_000) }
      }
    }
    var room = [UInt8](repeating: 0, count: 5000)
    for _ in 0..<3000 {
      let noise = (0..<random.below(64)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      _ = room.withUnsafeMutableBytes { target in
        noise.withUnsafeBytes { source in try? decodeLZO1X(source, into: target) }
      }
    }
  }

  @Test func joinedStreamsAreOneAndTheKernelsTrailerIsIgnored() throws {
    for sample in Samples.small where format(sample) != .lzma {
      let data = bytes(sample)
      let twice = try decompress(data + data, format: format(sample), limit: 1 << 20)
      #expect(String(decoding: twice, as: UTF8.self) == Samples.text + Samples.text, "\(sample.name)")
      guard format(sample) != .lz4Legacy else { continue }
      let trailed = try decompress(data + [0x34, 0x02, 0, 0], format: format(sample), limit: 1 << 20)
      #expect(String(decoding: trailed, as: UTF8.self) == Samples.text, "\(sample.name)")
    }
  }

  @Test func checksumsAreLookedAt() {
    for sample in Samples.small where [.gzip, .xz, .bzip2, .lz4, .lzo, .zstd].contains(format(sample)) {
      let data = bytes(sample)
      // Somewhere in its last quarter each of these keeps a checksum of the content or of the stream.
      var refused = 0
      for at in (data.count * 3 / 4)..<data.count {
        var bad = data
        bad[at] ^= 0x10
        let out = try? decompress(bad, format: format(sample), limit: 1 << 20)
        if out == nil { refused += 1 } else { #expect(out == Array(Samples.text.utf8), "\(sample.name) byte \(at)") }
      }
      #expect(refused > 0, "\(sample.name)")
    }
    #expect(Array("".utf8).withUnsafeBytes { xxHash32($0) } == 0x02CC_5D05)
    #expect(Array("abc".utf8).withUnsafeBytes { xxHash32($0) } == 0x32D1_53FF)
  }

  @Test func rawDeflateAndZstandardRoundTrip() throws {
    let cluster = Array(Samples.mixed.prefix(65536))
    let deflated = try deflateRaw(cluster)
    #expect(deflated.count < cluster.count)
    // A compressed cluster's length is known in sectors only: bytes follow it.
    #expect(try inflateRaw(deflated + [UInt8](repeating: 0xFF, count: 300), count: cluster.count) == cluster)
    #expect(throws: CompressionError.truncated(.gzip)) {
      try inflateRaw(Array(deflated.prefix(deflated.count / 2)), count: cluster.count)
    }
    #expect(throws: CompressionError.self) { try inflateRaw(deflated, count: cluster.count + 1) }
    let packed = try zstdCompress(cluster)
    #expect(try zstdDecompress(packed + [1, 2, 3], count: cluster.count) == cluster)
    #expect(throws: CompressionError.truncated(.zstd)) {
      try zstdDecompress(Array(packed.prefix(packed.count / 2)), count: cluster.count)
    }
    #expect(throws: CompressionError.self) { try zstdDecompress(packed, count: cluster.count - 1) }
    #expect(throws: CompressionError.self) { try zstdDecompress(packed, count: cluster.count + 1) }
  }
}
