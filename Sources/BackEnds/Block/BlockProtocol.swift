/// Requests of io/blkif.h as they stand in a slot, for both layouts: x86_64-abi and x86_32-abi differ in alignment only.
struct BlockRingLayout: Sendable, Codable, Equatable {
  var requestSize: Int
  var responseSize: Int
  var id: Int
  var sector: Int
  /// First segment of a direct request, or a discard's number of sectors.
  var segments: Int
  var indirectGrants: Int
  var responseOperation: Int

  static let x8664 = BlockRingLayout(
    requestSize: 112, responseSize: 16, id: 8, sector: 16, segments: 24, indirectGrants: 28, responseOperation: 8)
  static let x8632 = BlockRingLayout(
    requestSize: 108, responseSize: 12, id: 4, sector: 12, segments: 20, indirectGrants: 24, responseOperation: 8)

  /// The layout that a front end's `protocol` key names; absent: the native one.
  static func named(_ name: String?) -> BlockRingLayout? {
    switch name {
    case nil, "x86_64-abi": x8664
    case "x86_32-abi": x8632
    default: nil
    }
  }
}

enum BlockOperation: UInt8 {
  case read = 0, write, writeBarrier, flush
  case discard = 5, indirect
}

enum BlockStatus: Int16, Codable {
  case okay = 0
  case error = -1
  case notSupported = -2
}

/// 512-byte sectors `first ... last` of a granted page.
struct BlockSegment: Equatable {
  var reference: UInt32
  var first: UInt8
  var last: UInt8

  /// nil where the range is not one.
  var bytes: Range<Int>? {
    guard first <= last, last < 8 else { return nil }
    return Int(first) * 512..<(Int(last) + 1) * 512
  }

  init(reference: UInt32, first: UInt8, last: UInt8) {
    self.reference = reference
    self.first = first
    self.last = last
  }

  /// As it lies in an indirect request's page: reference, first sector, last sector, two bytes of nothing.
  init(word: UInt64) {
    reference = UInt32(truncatingIfNeeded: word)
    first = UInt8(truncatingIfNeeded: word >> 32)
    last = UInt8(truncatingIfNeeded: word >> 40)
  }

  static func parse(_ fields: Fields, at offset: Int) -> BlockSegment {
    BlockSegment(reference: fields.u32(offset), first: fields.u8(offset + 4), last: fields.u8(offset + 5))
  }
}

/// A request copied out of its slot. Numbers are the guest's: nothing is checked yet.
struct BlockRingRequest: Equatable {
  static let maximumDirectSegments = 11

  var id: UInt64
  /// As the response has to name it: an indirect request answers with the operation it carries.
  var operation: UInt8
  var isIndirect = false
  var sector: UInt64
  var segmentCount: Int
  var segments: [BlockSegment] = []
  var indirectGrants: [UInt32] = []
  /// Discard only.
  var sectorCount: UInt64 = 0
  var secure = false

  init(_ bytes: [UInt8], _ layout: BlockRingLayout) {
    let fields = Fields(bytes: bytes)
    operation = fields.u8(0)
    id = fields.u64(layout.id)
    sector = fields.u64(layout.sector)
    segmentCount = 0
    switch BlockOperation(rawValue: operation) {
    case .discard:
      secure = fields.u8(1) & 1 != 0
      sectorCount = fields.u64(layout.segments)
    case .indirect:
      isIndirect = true
      operation = fields.u8(1)
      segmentCount = Int(fields.u16(2))
      for index in 0..<8 { indirectGrants.append(fields.u32(layout.indirectGrants + 4 * index)) }
    default:
      segmentCount = Int(fields.u8(1))
      for index in 0..<min(segmentCount, Self.maximumDirectSegments) {
        segments.append(BlockSegment.parse(fields, at: layout.segments + 8 * index))
      }
    }
  }
}
