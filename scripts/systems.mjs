// How each system gets a WebGPU adapter without a GPU, and what says which system this is.

import { existsSync, readFileSync } from "node:fs";

/**
 * `ID` of /etc/os-release (or the platform), those it is like, and its code name.
 * @typedef {{ ids: string[], codename: string }} System
 */

/** This machine's system. @returns {System} */
export function thisSystem() {
  if (process.platform !== "linux") return { ids: [process.platform], codename: "" };
  return parseOsRelease(existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "");
}

/**
 * @param {string} text of /etc/os-release
 * @returns {System}
 */
export function parseOsRelease(text) {
  const field = (/** @type {string} */ name) =>
    new RegExp(`^${name}=["']?([\\w .-]*)["']?\\s*$`, "m").exec(text)?.[1] ?? "";
  const ids = [field("ID"), ...field("ID_LIKE").split(" ")].filter(Boolean);
  return { ids: ids.length > 0 ? ids : ["linux"], codename: field("VERSION_CODENAME") };
}

/** By the name of a system, or of one that it is like: what its user runs, or has to know. */
const HELP = {
  ubuntu: "As root, run:\n\n  apt-get update && apt-get install -y mesa-vulkan-drivers\n",
  debian: "As root, run:\n\n  apt-get update && apt-get install -y mesa-vulkan-drivers\n",
  fedora: "As root, run:\n\n  dnf install -y mesa-vulkan-drivers vulkan-loader\n",
  rhel: "As root, run:\n\n  dnf install -y mesa-vulkan-drivers vulkan-loader\n",
  arch: "As root, run:\n\n  pacman -S --needed vulkan-swrast vulkan-icd-loader\n",
  suse: "As root, run:\n\n  zypper install -y libvulkan_lvp libvulkan1\n",
  alpine:
    "As root, run:\n\n  apk add mesa-vulkan-swrast vulkan-loader gcompat\n\n" +
    "WebGPU for Node is built against glibc; where gcompat is not enough, use an image of Debian.",
  darwin: "macOS brings Metal; WebGPU needs macOS 12 or newer. Run:\n\n  softwareupdate --install --recommended\n",
  win32:
    "Windows brings Direct3D 12; WebGPU needs Windows 10 or newer and a driver of the maker of the graphics card. " +
    "For the newest, run:\n\n  start ms-settings:windowsupdate-optionalupdates\n",
};

/**
 * What to do on a system without any WebGPU adapter.
 * @param {System} system
 * @returns {string}
 */
export function adapterHelp({ ids }) {
  const known = ids.find((id) => id in HELP);
  return known === undefined
    ? "Install Mesa's software Vulkan driver (lavapipe) and the Vulkan loader."
    : HELP[/** @type {keyof typeof HELP} */ (known)];
}
