@testable import Xenstore

/// A store page in plain memory, and the guest's half of the protocol over it.
final class MemoryRing: StoreRing {
  var page = [UInt8](repeating: 0, count: 4096)
  var notifications = 0

  func load(_ offset: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(page[offset + $1]) << UInt32(8 * $1) }
  }
  func store(_ value: UInt32, at offset: Int) {
    for index in 0..<4 { page[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
  }
  func copyOut(_ offset: Int, count: Int) -> [UInt8] { Array(page[offset..<offset + count]) }
  func copyIn(_ bytes: ArraySlice<UInt8>, at offset: Int) { page.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
  func notify() { notifications += 1 }

  struct Message: Equatable {
    var type: UInt32
    var request: UInt32
    var transaction: UInt32
    var payload: [UInt8]
    var text: String { String(decoding: payload, as: UTF8.self) }
  }

  private var received: [UInt8] = []

  /// Puts bytes on the request ring; false if there is no room.
  func put(_ bytes: [UInt8]) -> Bool {
    let producer = load(0x804)
    guard 1024 - Int(producer &- load(0x800)) >= bytes.count else { return false }
    for (index, byte) in bytes.enumerated() { page[Int((producer &+ UInt32(index)) & 1023)] = byte }
    store(producer &+ UInt32(bytes.count), at: 0x804)
    return true
  }

  static func request(_ type: UInt32, _ payload: String, id: UInt32 = 1, tx: UInt32 = 0) -> [UInt8] {
    let bytes = Array(payload.utf8)
    return MessageHeader(type: type, request: id, transaction: tx, length: UInt32(bytes.count)).bytes + bytes
  }

  /// Takes all that is on the response ring and returns the whole messages.
  func take() -> [Message] {
    let consumer = load(0x808)
    let count = load(0x80C) &- consumer
    for index in 0..<count { received.append(page[0x400 + Int((consumer &+ index) & 1023)]) }
    store(consumer &+ count, at: 0x808)
    var messages: [Message] = []
    while received.count >= 16 {
      let header = MessageHeader(received[0..<16])
      let end = 16 + Int(header.length)
      guard received.count >= end else { break }
      messages.append(
        Message(type: header.type, request: header.request, transaction: header.transaction, payload: Array(received[16..<end])))
      received.removeFirst(end)
    }
    return messages
  }

  /// Sends a request in as many pieces as the ring makes necessary and collects what comes back.
  func ask(_ connection: Connection, _ type: UInt32, _ payload: String, id: UInt32 = 1, tx: UInt32 = 0) -> [Message] {
    var rest = Self.request(type, payload, id: id, tx: tx)[...]
    var answers: [Message] = []
    while !rest.isEmpty {
      let piece = Array(rest.prefix(1000))
      if put(piece) { rest = rest.dropFirst(piece.count) }
      connection.service()
      answers += take()
    }
    while true {
      connection.service()
      let more = take()
      if more.isEmpty && received.isEmpty { break }
      answers += more
    }
    return answers
  }
}
