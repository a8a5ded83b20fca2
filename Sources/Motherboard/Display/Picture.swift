import CZlib
import Foundation

/// What a screen shows: rows from the top, three bytes (red, green, blue) a pixel.
public struct Picture: Equatable, Sendable {
  public let width: Int
  public let height: Int
  public internal(set) var rgb: [UInt8]

  /// A black picture.
  public init(width: Int, height: Int) {
    self.width = max(width, 1)
    self.height = max(height, 1)
    rgb = [UInt8](repeating: 0, count: self.width * self.height * 3)
  }

  /// The picture as a PNG file (Portable Network Graphics, second edition: truecolour, 8 bits a sample).
  public func png() -> [UInt8] {
    var header: [UInt8] = []
    for value in [width, height] { header += bigEndian(UInt32(truncatingIfNeeded: value)) }
    header += [8, 2, 0, 0, 0]
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", header) + chunk("IDAT", deflated()) + chunk("IEND", [])
  }

  /// Each row as its difference from the one above: rows of a screen are often alike.
  private func deflated() -> [UInt8] {
    let row = width * 3
    let filtered = [UInt8](unsafeUninitializedCapacity: (row + 1) * height) { target, count in
      rgb.withUnsafeBufferPointer { source in
        var to = 0
        for y in 0..<height {
          target[to] = y == 0 ? 0 : 2
          to += 1
          for from in y * row..<(y + 1) * row {
            target[to] = y == 0 ? source[from] : source[from] &- source[from - row]
            to += 1
          }
        }
        count = to
      }
    }
    let bound = Int(compressBound(UInt(filtered.count)))
    return [UInt8](unsafeUninitializedCapacity: bound) { target, count in
      var length = UInt(bound)
      // The buffer is as large as zlib's bound: it does not fail.
      let status = compress2(target.baseAddress, &length, filtered, UInt(filtered.count), 6)
      count = status == Z_OK ? Int(length) : 0
    }
  }

  private func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(type.utf8) + data
    let checksum = UInt32(truncatingIfNeeded: crc32_z(0, body, body.count))
    return bigEndian(UInt32(truncatingIfNeeded: data.count)) + body + bigEndian(checksum)
  }

  private func bigEndian(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

  /// Writes the picture as a PNG file; throws what the file system says.
  public func writePNG(_ path: String) throws { try Data(png()).write(to: URL(fileURLWithPath: path)) }
}
