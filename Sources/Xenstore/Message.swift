/// Message types of the wire (io/xs_wire.h, enum xsd_sockmsg_type).
enum MessageType: UInt32 {
  case control = 0, directory, read, getPermissions, watch, unwatch, transactionStart, transactionEnd, introduce, release,
    getDomainPath, write, makeDirectory, remove, setPermissions, watchEvent, error, isDomainIntroduced, resume, setTarget
  case resetWatches = 21, directoryPart
}

/// The 16 bytes before each message's payload.
struct MessageHeader: Equatable {
  static let byteCount = 16
  var type: UInt32
  var request: UInt32
  var transaction: UInt32
  var length: UInt32

  init(type: UInt32, request: UInt32, transaction: UInt32, length: UInt32) {
    (self.type, self.request, self.transaction, self.length) = (type, request, transaction, length)
  }

  /// - Precondition: 16 bytes are there.
  init(_ bytes: ArraySlice<UInt8>) {
    func word(_ at: Int) -> UInt32 {
      var value: UInt32 = 0
      for index in 0..<4 { value |= UInt32(bytes[bytes.startIndex + at + index]) << UInt32(8 * index) }
      return value
    }
    self.init(type: word(0), request: word(4), transaction: word(8), length: word(12))
  }

  var bytes: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(16)
    for word in [type, request, transaction, length] {
      for shift: UInt32 in [0, 8, 16, 24] { result.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
    return result
  }
}

/// A payload of strings that each end with a NUL.
struct Payload {
  var bytes: ArraySlice<UInt8>

  /// The strings, if the payload is just that many, each with its NUL.
  func strings(_ count: Int) throws(StoreError) -> [ArraySlice<UInt8>] {
    let all = try strings()
    guard all.count == count else { throw .invalid }
    return all
  }

  func strings() throws(StoreError) -> [ArraySlice<UInt8>] {
    guard bytes.last == 0 else { throw .invalid }
    return bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false)
  }

  /// A string and what follows its NUL.
  func stringAndRest() throws(StoreError) -> (ArraySlice<UInt8>, ArraySlice<UInt8>) {
    guard let end = bytes.firstIndex(of: 0) else { throw .invalid }
    return (bytes[..<end], bytes[(end + 1)...])
  }

  static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}
