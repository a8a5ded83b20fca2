import Xenstore

/// Pages of the guest in a row: a ring's memory. Reads outside give zeros, writes outside are dropped.
struct SharedPages {
  let guest: any GuestInterface
  let pages: [GrantedPage]

  var byteCount: Int { pages.count * 4096 }

  func load32(_ offset: Int) -> UInt32 {
    var value: UInt32 = 0
    withUnsafeMutableBytes(of: &value) { copyOut(offset, into: $0) }
    return UInt32(littleEndian: value)
  }

  func store32(_ value: UInt32, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { copyIn($0, at: offset) }
  }

  func copyOut(_ offset: Int, count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: max(count, 0))
    bytes.withUnsafeMutableBytes { copyOut(offset, into: $0) }
    return bytes
  }

  func copyOut(_ offset: Int, into buffer: UnsafeMutableRawBufferPointer) {
    eachPage(offset, buffer.count) { address, range in
      _ = guest.copyOut(address, into: UnsafeMutableRawBufferPointer(rebasing: buffer[range]))
    }
  }

  func copyIn(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    eachPage(offset, bytes.count) { address, range in
      _ = guest.copyIn(UnsafeRawBufferPointer(rebasing: bytes[range]), at: address)
    }
  }

  func copyIn(_ bytes: [UInt8], at offset: Int) {
    bytes.withUnsafeBytes { copyIn($0, at: offset) }
  }

  private func eachPage(_ offset: Int, _ count: Int, _ body: (UInt64, Range<Int>) -> Void) {
    guard offset >= 0, count > 0, offset <= byteCount - count else { return }
    var done = 0
    while done < count {
      let at = offset + done
      let size = min(count - done, 4096 - at % 4096)
      body(pages[at / 4096].address &+ UInt64(at % 4096), done..<done + size)
      done += size
    }
  }

  func unmap() {
    for page in pages { guest.unmapGrant(page) }
  }

  /// Maps a list of grants, all or none.
  static func map(_ guest: any GuestInterface, _ references: [UInt32]) -> SharedPages? {
    var pages: [GrantedPage] = []
    for reference in references {
      guard let page = guest.mapGrant(reference, write: true) else {
        for page in pages { guest.unmapGrant(page) }
        return nil
      }
      pages.append(page)
    }
    return SharedPages(guest: guest, pages: pages)
  }
}
