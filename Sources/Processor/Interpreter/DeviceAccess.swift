import CHost
import GuestMemory

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

// The guest's accesses to frames that are no RAM, within one page: device memory through the bus, in pieces of 8, 4, 2 and 1 bytes.

extension VCPU {
  @inline(never) func readDevice(_ address: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int, _ op: Operation) {
    guard memory.kind(ofFrame: Int(address >> 12)) == .device, let bus = memory.bus else {
      memset(buffer, 0xFF, count)
      return
    }
    inMidOperation(op) {
      forEachPiece(count) { offset, size in
        let value = bus.read(bus.context, address &+ UInt64(offset), UInt32(size))
        withUnsafeBytes(of: value.littleEndian) { (buffer + offset).copyMemory(from: $0.baseAddress!, byteCount: size) }
      }
    }
  }

  @inline(never) func writeDevice(_ address: UInt64, _ bytes: UnsafeRawPointer, _ count: Int, _ op: Operation) {
    guard memory.kind(ofFrame: Int(address >> 12)) == .device, let bus = memory.bus else { return }
    inMidOperation(op) {
      forEachPiece(count) { offset, size in
        var value: UInt64 = 0
        withUnsafeMutableBytes(of: &value) { $0.baseAddress!.copyMemory(from: bytes + offset, byteCount: size) }
        bus.write(bus.context, address &+ UInt64(offset), UInt32(size), UInt64(littleEndian: value))
      }
    }
  }

  @inline(__always) private func forEachPiece(_ count: Int, _ body: (_ offset: Int, _ size: Int) -> Void) {
    var offset = 0
    while offset < count {
      let left = count - offset
      let size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1
      body(offset, size)
      offset += size
    }
  }
}
