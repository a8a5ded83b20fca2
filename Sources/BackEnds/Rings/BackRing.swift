/// The back half of a request ring (io/ring.h): requests are consumed in order, responses go into the slots of consumed requests.
///
/// `requestConsumer` and `responseProducer` are kept here, never read back from the page. Each slot is copied out once. The
/// header: req_prod at 0, req_event at 4, rsp_prod at 8, rsp_event at 12; slots from 64.
struct BackRing {
  static let headerSize = 64

  let pages: SharedPages
  /// Bytes of a slot, and slots (a power of two).
  let slotSize: Int
  let slotCount: UInt32
  private(set) var requestConsumer: UInt32 = 0
  private(set) var responseProducer: UInt32 = 0
  /// Responses up to here are visible to the guest.
  private var published: UInt32 = 0

  /// Takes a ring over as it stands: a guest that reconnects starts from what is published.
  init(pages: SharedPages, slotSize: Int) {
    self.pages = pages
    self.slotSize = slotSize
    let fitting = UInt32(max((pages.byteCount - Self.headerSize) / slotSize, 1))
    slotCount = 1 << (31 - UInt32(fitting.leadingZeroBitCount))
    responseProducer = pages.load32(8)
    requestConsumer = responseProducer
    published = responseProducer
  }

  /// How many requests wait; nil if the guest's index is nonsense (more than the ring holds).
  func waiting() -> UInt32? {
    let producer = pages.load32(0)
    let count = producer &- requestConsumer
    guard count <= slotCount, producer &- responseProducer <= slotCount else { return nil }
    return count
  }

  /// Copies the next request out and consumes it.
  mutating func takeRequest() -> [UInt8] {
    let slot = Int(requestConsumer & (slotCount - 1))
    requestConsumer &+= 1
    return pages.copyOut(Self.headerSize + slot * slotSize, count: slotSize)
  }

  /// Whether a slot is free for a response: there are never more responses than requests taken.
  var owesResponse: Bool { responseProducer != requestConsumer }

  /// Puts a response into the next slot, all of which is overwritten.
  mutating func putResponse(_ bytes: [UInt8]) {
    guard owesResponse else { return }
    var slot = bytes
    if slot.count > slotSize { slot.removeLast(slot.count - slotSize) }
    while slot.count < slotSize { slot.append(0) }
    pages.copyIn(slot, at: Self.headerSize + Int(responseProducer & (slotCount - 1)) * slotSize)
    responseProducer &+= 1
  }

  /// Makes the responses visible; true if the guest asked to be told of them.
  mutating func publish() -> Bool {
    guard published != responseProducer else { return false }
    pages.store32(responseProducer, at: 8)
    let event = pages.load32(12)
    let wanted = responseProducer &- event < responseProducer &- published
    published = responseProducer
    return wanted
  }

  /// Asks for an event at the next request; true if one came meanwhile, so that the caller must look again.
  func finalCheck() -> Bool {
    pages.store32(requestConsumer &+ 1, at: 4)
    return pages.load32(0) != requestConsumer
  }

  /// Asks for an event once `count` requests wait.
  func requestEvent(after count: UInt32) { pages.store32(requestConsumer &+ count, at: 4) }
}

extension BackRing {
  /// What a saved machine keeps of a ring whose pages are mapped anew.
  struct Indices: Codable, Sendable {
    var requestConsumer: UInt32
    var responseProducer: UInt32
    var published: UInt32
  }

  var indices: Indices {
    get { Indices(requestConsumer: requestConsumer, responseProducer: responseProducer, published: published) }
    set {
      requestConsumer = newValue.requestConsumer
      responseProducer = newValue.responseProducer
      published = newValue.published
    }
  }
}

/// Little-endian fields of a slot that has been copied out. Outside the bytes everything is 0.
struct Fields {
  let bytes: [UInt8]

  func u8(_ at: Int) -> UInt8 { at >= 0 && at < bytes.count ? bytes[at] : 0 }
  func u16(_ at: Int) -> UInt16 { UInt16(u8(at)) | UInt16(u8(at + 1)) << 8 }
  func u32(_ at: Int) -> UInt32 { UInt32(u16(at)) | UInt32(u16(at + 2)) << 16 }
  func u64(_ at: Int) -> UInt64 { UInt64(u32(at)) | UInt64(u32(at + 4)) << 32 }
}

extension [UInt8] {
  /// Appends a little-endian integer.
  mutating func append<T: FixedWidthInteger>(little value: T) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
