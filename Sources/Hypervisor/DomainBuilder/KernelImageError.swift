import Compression

/// Why a file is no kernel that can be booted as a PV guest. Each description says what is wrong, where, and how to mend it;
/// the caller adds the file's name.
public enum KernelImageError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file has no bytes.
  case empty
  /// The file ends before something that its headers promise.
  case truncated(what: String, needed: UInt64, size: Int)
  /// The file is something else; what it looks like.
  case foreign(String)
  /// The compressed kernel inside could not be unpacked.
  case compressed(CompressionError)
  /// A kernel for another processor or mode; which.
  case notX86_64(String)
  /// A good ELF file without the notes that PV kernels carry.
  case noXenNotes
  /// The headers contradict themselves or leave out what is needed.
  case malformed(String)
  /// The notes ask for what is not offered.
  case unsupported(String)

  public var description: String {
    switch self {
    case .empty:
      "the kernel file is empty; give a bzImage (vmlinuz) or an ELF file (vmlinux)"
    case .truncated(let what, let needed, let size):
      "the kernel file is truncated: \(what) ends at byte \(needed), but the file has \(size) bytes; copy it again"
    case .foreign(let what):
      "this is not a kernel: it looks like \(what); give a bzImage (vmlinuz) or an ELF file (vmlinux)"
    case .compressed(.outOfMemory):
      "the host has no memory to unpack the kernel inside the image"
    case .compressed(let error):
      "the kernel inside the image cannot be unpacked: \(error); copy the file again or give the unpacked vmlinux"
    case .notX86_64(let what):
      "the kernel is \(what), and only 64-bit x86 (x86-64) kernels run here; give an amd64 kernel"
    case .noXenNotes:
      "the kernel has no Xen notes, so it cannot run as a PV guest; give one built with CONFIG_XEN_PV=y, as Debian's are"
    case .malformed(let what):
      "the kernel's headers are damaged: \(what); copy the file again or rebuild it"
    case .unsupported(let what):
      "the kernel asks for something that is not offered: \(what); give a kernel built for Xen 3 or later, PV, 64-bit"
    }
  }
}
