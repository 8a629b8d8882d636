// Colours of keypoints before there is a project; a project's own come with its labels.
const HUES = ["#f59a14", "#4fb3f0", "#3ddc97", "#d6409f", "#ccd800", "#9060fc", "#fc6c90", "#1890cc", "#c08460", "#b4ccfc"];
export const hue = (n) => HUES[n % HUES.length];
