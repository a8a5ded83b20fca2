import Foundation
import Storage

/// An image that is only read, with what the guest writes kept in memory: each of lockstep's machines has its own, and the image stays
/// what it was.
final class OverlayBlockDevice: BlockDevice, @unchecked Sendable {
  private let image: any BlockDevice
  let isReadOnly: Bool
  var sizeInBytes: UInt64 { image.sizeInBytes }
  var sectorSize: Int { image.sectorSize }
  /// Guarded by `lock`: sectors that were written, by number.
  private var written: [UInt64: ArraySlice<UInt8>] = [:]
  private let lock = NSLock()

  init(_ image: any BlockDevice, isReadOnly: Bool) {
    self.image = image
    self.isReadOnly = isReadOnly
  }

  func submit(_ request: BlockRequest, completion: @escaping @Sendable (BlockResult) -> Void) {
    switch request {
    case .read(let offset, let count):
      // What was written before counts, and nothing that is written while the image is read.
      let sectors = count >= 0 && fits(offset, UInt64(count)) ? overlay(offset, count) : []
      let size = sectorSize
      image.submit(request) { result in
        completion(
          result.map { bytes in
            var bytes = bytes
            for (index, sector) in sectors where (index + 1) * size <= bytes.count {
              bytes.replaceSubrange(index * size..<(index + 1) * size, with: sector)
            }
            return bytes
          })
      }
    case .write(let offset, let data): completion(write(offset, UInt64(data.count)) { data[$0] })
    case .writeZeroes(let offset, let count, _):
      let zeros = [UInt8](repeating: 0, count: sectorSize)[...]
      completion(write(offset, count) { _ in zeros })
    case .flush, .discard: completion(.success([]))
    }
  }

  func close() throws(StorageError) { try image.close() }

  private func fits(_ offset: UInt64, _ count: UInt64) -> Bool {
    let (end, overflow) = offset.addingReportingOverflow(count)
    return !overflow && end <= sizeInBytes && offset % UInt64(sectorSize) == 0 && count % UInt64(sectorSize) == 0
  }

  /// The written sectors of a range, by their place in it.
  private func overlay(_ offset: UInt64, _ count: Int) -> [(Int, ArraySlice<UInt8>)] {
    let first = offset / UInt64(sectorSize)
    return lock.withLock {
      written.isEmpty ? [] : (0..<count / sectorSize).compactMap { index in written[first + UInt64(index)].map { (index, $0) } }
    }
  }

  private func write(_ offset: UInt64, _ count: UInt64, _ data: (Range<Int>) -> ArraySlice<UInt8>) -> BlockResult {
    guard !isReadOnly else { return .failure(.readOnly) }
    guard fits(offset, count) else { return .failure(.outOfRange) }
    let first = offset / UInt64(sectorSize)
    lock.withLock {
      for index in 0..<Int(count) / sectorSize {
        written[first + UInt64(index)] = data(index * sectorSize..<(index + 1) * sectorSize)
      }
    }
    return .success([])
  }
}
